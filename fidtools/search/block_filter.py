"""The selection of candidates: which passages of a block may be among the k best of which questions.

Almost all scores of a block are too low, so the work is to dismiss them cheaply. Three tests of increasing price are
passed by fewer and fewer: the maximum of a group of 16 passages, then each passage of the groups that are left (both
with the largest error of the whole block), then the few passages left with their own error. Each test dismisses only
what cannot reach the threshold, so no passage of the true k best is ever lost.
"""

from __future__ import annotations

from torch import Tensor

from fidtools.search.candidates import INFINITY, CandidateBuffer, kth_largest
from fidtools.search.products import PassageBlock, RoundedQuestions, group_maxima, multiply

GROUP_SIZE = 16  # passages whose maximum is compared at once: 16 times fewer comparisons, and few groups are opened


class BlockFilter:
    """Some questions with their candidates; blocks hold at most `block_rows` passages."""

    def __init__(self, questions: RoundedQuestions, k: int, block_rows: int) -> None:
        count, device = len(questions.values), questions.values.device
        self.questions = questions
        self.candidates = CandidateBuffer(count, k, device)
        self._products = questions.values.new_empty(count * block_rows)  # one allocation for all blocks

    def take(self, block: PassageBlock) -> None:
        """Add the candidates of a block."""
        questions, candidates = self.questions, self.candidates
        scores = multiply(questions.values, block.values, self._products)  # (m, B)
        scores[:, block.rows :] = -INFINITY  # padding
        if block.start == 0:
            self._first_threshold(scores, block)
        lowest = questions.lowest_possible(candidates.threshold, questions.margin(block.norms.largest())[:, 0])
        question, column, score = _at_least(scores, lowest)
        error = questions.margin_of_pairs(question, block.norms.of(column)) + questions.result_rounding * score.abs()
        # One long passage makes the block's largest error, and so `lowest`, too generous for all others.
        kept = (score + error >= candidates.threshold[question]).nonzero()[:, 0]
        question, row, score, error = (part[kept] for part in (question, block.start + column, score, error))
        candidates.add(question, row, score - error, score + error)

    def _first_threshold(self, scores: Tensor, block: PassageBlock) -> None:
        """Set a threshold from the first block, without which all of it would be candidates.

        A group's maximum less its error is a lower bound on the true score of one of its passages. Groups do not
        overlap, so k groups stand for k different passages: the k-th largest of these bounds is a valid threshold.
        """
        maxima = group_maxima(scores, GROUP_SIZE)  # (m, B / 16)
        if maxima.shape[1] >= self.candidates.k:
            margins = self.questions.margin(block.norms.largest_of_groups(GROUP_SIZE))
            errors = margins + self.questions.result_rounding * maxima.abs()
            self.candidates.raise_threshold(kth_largest(maxima - errors, self.candidates.k))


def _at_least(scores: Tensor, lowest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The scores (m × B) of at least `lowest` (m): their questions (ascending), columns, and values in float32."""
    maxima = group_maxima(scores, GROUP_SIZE, lowest)
    question, group = (maxima >= lowest[:, None]).nonzero(as_tuple=True)
    inside = scores.view(len(scores), GROUP_SIZE, -1)[question, :, group].float()  # (groups left, 16)
    left, place = ((inside >= lowest[question, None]) & (inside > -INFINITY)).nonzero(as_tuple=True)
    return question[left], group[left] + place * maxima.shape[1], inside[left, place]

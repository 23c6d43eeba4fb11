"""The selection of candidates: which passages of a stretch may be among the k best of which questions.

Almost all scores of a stretch are too low, so the work is to dismiss them cheaply. Three tests of increasing price are
passed by fewer and fewer: the maximum of a group of 16 passages, then each passage of the groups that are left (both
with the largest error of the whole stretch), then the few passages left with their own error. Each test dismisses only
what cannot reach the threshold, so no passage of the true k best is ever lost.
"""

from __future__ import annotations

from torch import Tensor

from fidtools.search.candidates import INFINITY, CandidateBuffer, kth_largest
from fidtools.search.products import GROUP_SIZE, PassageNorms, RoundedQuestions, Stretch, group_maxima

GROUPS_PER_RANK = 2  # groups for each of the k places, for a threshold that most passages are below


class StretchFilter:
    """Some questions with their candidates."""

    def __init__(self, questions: RoundedQuestions, k: int) -> None:
        self.questions = questions
        self.candidates = CandidateBuffer(len(questions.values), k, questions.values.device)
        self._first = True

    def take(self, stretch: Stretch) -> None:
        """Add the candidates of a stretch. The scores of its padding are overwritten."""
        scores, norms = stretch.scores, stretch.norms
        questions, candidates = self.questions, self.candidates
        scores[:, stretch.rows :] = -INFINITY
        if self._first:
            self._first_threshold(scores, norms)
            self._first = False
        lowest = questions.lowest_possible(candidates.threshold, questions.margin(norms.largest())[:, 0])
        question, column, score = _at_least(scores, lowest)
        error = questions.margin_of_pairs(question, norms.of(column)) + questions.result_rounding * score.abs()
        # One long passage makes the stretch's largest error, and so `lowest`, too generous for all others.
        kept = (score + error >= candidates.threshold[question]).nonzero()[:, 0]
        question, row, score, error = (part[kept] for part in (question, stretch.start + column, score, error))
        candidates.add(question, row, score - error, score + error)

    def _first_threshold(self, scores: Tensor, norms: PassageNorms) -> None:
        """Set a threshold from the first stretch, without which all of it would be candidates.

        A group's maximum less its error is a lower bound on the true score of one of its passages. Groups do not
        overlap, so k groups stand for k different passages: the k-th largest of these bounds is a valid threshold. It
        is a good one where there are many more groups than k, so for a large k the groups are small.
        """
        k, size = self.candidates.k, GROUP_SIZE
        while size > 1 and scores.shape[1] // size < GROUPS_PER_RANK * k:
            size //= 2
        if scores.shape[1] // size >= k:
            maxima = group_maxima(scores, size)  # (m, B / size)
            errors = (
                self.questions.margin(norms.largest_of_groups(size)) + self.questions.result_rounding * maxima.abs()
            )
            bounds = (maxima - errors).masked_fill(maxima == -INFINITY, -INFINITY)  # padding's error, 0·∞, is no number
            self.candidates.raise_threshold(kth_largest(bounds, k))


def _at_least(scores: Tensor, lowest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The scores (m × B) of at least `lowest` (m): their questions (ascending), columns, and values in float32."""
    maxima = group_maxima(scores, GROUP_SIZE, lowest)
    question, group = (maxima >= lowest[:, None]).nonzero(as_tuple=True)
    inside = scores.view(len(scores), GROUP_SIZE, -1)[question, :, group].float()  # (groups left, 16)
    left, place = ((inside >= lowest[question, None]) & (inside > -INFINITY)).nonzero(as_tuple=True)
    return question[left], group[left] + place * maxima.shape[1], inside[left, place]

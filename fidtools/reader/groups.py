"""Questions that are read together: how a stream is cut into groups, and each group's tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fidtools.compute.prefetch import prefetch
from fidtools.compute.ranks import ranks
from fidtools.data.records import Question
from fidtools.reader.prompt import Tokens
from fidtools.reader.reader import Reader


class Group(NamedTuple):
    """Questions that are read together, and their tokens."""

    questions: list[Question]
    tokens: Tokens


def in_groups(
    questions: Iterable[Question], n_context: int | None, max_questions: int = 16, max_passages: int = 160
) -> Iterator[list[Question]]:
    """A stream of questions in lists of at most `max_questions` questions and `max_passages` passages.

    A question counts its first `n_context` passages; one with more than `max_passages` is alone. The lists depend on
    the stream only, so neither ranks nor a token budget change any result.
    """
    group: list[Question] = []
    passages = 0
    for question in questions:
        size = len((question.ctxs or [])[:n_context])
        if group and (len(group) == max_questions or passages + size > max_passages):
            yield group
            group, passages = [], 0
        group.append(question)
        passages += size
    if group:
        yield group


def with_tokens(reader: Reader, groups: Iterable[list[Question]]) -> Iterator[Group]:
    """Groups with their tokens; the next group is tokenized while this one is read.

    Under `torchrun` each rank tokenizes its share, every world-th group, as `distribute` shares them; the other groups
    come without tokens.
    """
    me = ranks()

    def tokenize(numbered: tuple[int, list[Question]]) -> Group:
        number, questions = numbered
        return Group(questions, reader.tokens(questions) if number % me.world == me.rank else [])

    return prefetch(enumerate(groups), tokenize, depth=me.world)

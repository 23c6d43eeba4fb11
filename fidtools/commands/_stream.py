"""The one loop of the commands that stream groups of questions through a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from fidtools.commands._kept_lines import Line, Lines, open_lines

if TYPE_CHECKING:
    from fidtools.compute.precision import Precision
    from fidtools.data.records import Question
    from fidtools.reader.groups import Group
    from fidtools.reader.reader import Reader

M = TypeVar("M")
G = TypeVar("G")


def stream_groups(
    questions: str,
    output: str,
    load: Callable[[], M],
    cut: Callable[[M, Iterator[Question]], Iterable[list[Question]]],
    work: Callable[[M, G], Iterable[Line]],
    progress: str,
    report: Callable[[M], None],
    *,
    resume: bool,
    prepare: Callable[[M, Iterator[list[Question]]], Iterable[G]] | None = None,
) -> None:
    """Write the lines that a model makes of each group of questions, in order, as soon as they are ready.

    `load` makes the model once standard input is known not to be shared. `cut` divides the questions into groups;
    `prepare` makes of them what `work` takes, where that is more than the questions. Under `torchrun` each rank works
    on its share of the groups, and rank 0 writes. `progress` labels the progress bar. At the end every rank calls
    `report`, which says how many texts were cut. `resume` is that of `open_lines`.
    """
    from fidtools.compute.ranks import distribute
    from fidtools.data.read import read_questions
    from fidtools.logs import track

    with open_lines(questions, output, resume=resume) as lines:
        if lines is None:
            return
        model = load()
        groups: Any = islice(cut(model, read_questions(questions)), lines.done, None)
        ready: Iterable[G] = groups if prepare is None else prepare(model, groups)
        done = distribute(ready, lambda group: list(work(model, group)))
        for _ in track(_written(done, lines), progress):
            pass
    report(model)


def _written(groups: Iterable[list[Line]], lines: Lines) -> Iterator[Line]:
    """The lines of all groups, each group's as soon as it has been written."""
    for group in groups:
        lines.write(group)
        yield from group


def stream_through_reader(
    questions: str,
    output: str,
    work: Callable[[Reader, Group], Iterable[Line]],
    progress: str,
    *,
    reader: str,
    precision: Precision,
    token_budget: int,
    resume: bool,
    needs_attention: bool = False,
    tokenize: bool = True,
    **settings: Any,
) -> None:
    """`stream_groups` through a reader. `settings` that are not None replace the reader's own.

    Without `tokenize` the groups come without tokens, for work that reads other prompts.

    With `needs_attention` a reader whose cross-attention cannot be recorded is refused before anything is read.
    """
    from fidtools.compute.device import Compute
    from fidtools.reader.groups import Group, in_groups, with_tokens
    from fidtools.reader.reader_folder import load_inference_reader

    def load() -> Reader:
        model = load_inference_reader(reader, token_budget, Compute.choose(precision), **settings)
        if needs_attention:
            model.fusion.recorder.check()
        return model

    def cut(model: Reader, stream: Iterator[Question]) -> Iterator[list[Question]]:
        return in_groups(stream, model.settings.n_context)

    def prepare(model: Reader, groups: Iterator[list[Question]]) -> Iterator[Group]:
        return with_tokens(model, groups) if tokenize else (Group(questions, []) for questions in groups)

    def report(model: Reader) -> None:
        model.report_cuts(shared=True)

    stream_groups(questions, output, load, cut, work, progress, report, resume=resume, prepare=prepare)

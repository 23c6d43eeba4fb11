"""The one loop of the commands that stream groups of questions through a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from fidtools.compute.precision import Precision
    from fidtools.data.records import Question
    from fidtools.reader.groups import Group
    from fidtools.reader.reader import Reader

M = TypeVar("M")
G = TypeVar("G")
Line = dict[str, Any]


def stream_groups(
    questions: str,
    output: str,
    load: Callable[[], M],
    groups: Callable[[M, Iterator[Question]], Iterable[G]],
    work: Callable[[M, G], Iterable[Line]],
    progress: str,
    report: Callable[[M], None],
) -> None:
    """Write the lines that a model makes of each group of questions, in order, as soon as they are ready.

    `load` makes the model once standard input is known not to be shared. Under `torchrun` each rank works on its share
    of the groups, and rank 0 writes. `progress` labels the progress bar. At the end every rank calls `report`, which
    says how many texts were cut.
    """
    from fidtools.compute.ranks import distribute, output_on_main_rank, refuse_shared_stdin
    from fidtools.data.files import open_output
    from fidtools.data.read import read_questions
    from fidtools.logs import track

    refuse_shared_stdin(questions)
    model = load()
    with open_output(output_on_main_rank(output)) as out:
        done = distribute(groups(model, read_questions(questions)), lambda group: list(work(model, group)))
        for line in track((line for lines in done for line in lines), progress):
            out.line(line)
    report(model)


def stream_through_reader(
    questions: str,
    output: str,
    work: Callable[[Reader, Group], Iterable[Line]],
    progress: str,
    *,
    reader: str,
    precision: Precision,
    token_budget: int,
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

    def groups(model: Reader, stream: Iterator[Question]) -> Iterator[Group]:
        together = in_groups(stream, model.settings.n_context)
        return with_tokens(model, together) if tokenize else (Group(questions, []) for questions in together)

    stream_groups(questions, output, load, groups, work, progress, lambda model: model.report_cuts(shared=True))

"""The lines that a command writes group by group, and how an interrupted run of `--resume` continues."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from fidtools.errors import FidtoolsError, UsageError, kept_when_full

if TYPE_CHECKING:
    from fidtools.data.files import Output
    from fidtools.data.journal import Journal

Line = dict[str, Any]
NOT_IN_RESULT = ("questions", "output", "resume")
"""Options that do not change the result, or whose contents count instead."""
ROUNDED_BY_BATCH = ("score-cross",)
"""Commands whose scores are rounded differently in other batches, so that --token-budget counts."""
MODELS = ("reader", "teacher")


class Lines(Protocol):
    """Where the lines of each group of questions go."""

    done: int
    """Groups whose lines an earlier run has kept: they need not be computed again. Equal on every rank."""

    def write(self, group: Sequence[Line]) -> None:
        """Write the lines of the next group."""


@dataclass
class Direct:
    """Lines that are written at once, and lost with a run that does not end."""

    output: Output
    done: int = 0

    def write(self, group: Sequence[Line]) -> None:
        """Write the lines of the next group."""
        for line in group:
            self.output.line(line)


@dataclass
class Kept:
    """Lines that are kept beside the output until all are there."""

    journal: Journal
    done: int

    def write(self, group: Sequence[Line]) -> None:
        """Keep the lines of the next group, as the bytes that will be written."""
        from fidtools.data.files import as_line

        self.journal.add(b"".join(map(as_line, group)).decode())


@contextlib.contextmanager
def open_lines(questions: str, output: str, *, resume: bool) -> Iterator[Lines | None]:
    """Where to write the lines made of `questions`; the output appears when the block ends well.

    With `resume` they are kept beside it, and None says that an earlier run has written all of them. Raises UsageError
    when that run had other options, another model or other questions, and where there is no file to continue.
    """
    from fidtools.compute.ranks import gather, output_on_main_rank, ranks
    from fidtools.data.files import open_output

    to = output_on_main_rank(output)
    if not resume:
        with open_output(to) as out:
            yield Direct(out)
        _discard_earlier(to)
        return
    from fidtools.data.finished import FinishedRun
    from fidtools.data.journal import open_journal
    from fidtools.logs import log

    settings = _settings(questions, output)
    run = FinishedRun(to, settings)
    full = kept_when_full(Path(output), "what is done is kept: free some space and continue with --resume")
    with full, open_journal(to, settings, resume=ranks().is_main) as journal:
        if gather(not len(journal) and run.is_finished())[0]:
            yield None
            return
        run.forget()
        if len(journal):
            log.info("continuing after %d questions", sum(text.count("\n") for text in journal))
        yield Kept(journal, gather(len(journal))[0])
        with open_output(to) as out:
            for text in journal:
                out.write(text.encode())
        run.keep([])


def _discard_earlier(output: str) -> None:
    """Remove what a run with `--resume` left beside an output that a run without it has replaced."""
    from fidtools.data.files import STANDARD
    from fidtools.data.finished import FinishedRun
    from fidtools.data.journal import is_journal, journal_path
    from fidtools.data.locks import exclusive
    from fidtools.data.outputs import final_path, is_special

    if output == STANDARD or is_special(output):
        return
    target = final_path(output)
    journal = journal_path(target)
    with contextlib.suppress(FidtoolsError):  # another process works on it, or a file there is somebody else's
        run = FinishedRun(output, {})
        if journal.is_file() or run.exists():
            with exclusive(target, "writing it", wait=False):
                run.forget()
                if journal.is_file() and is_journal(journal):
                    journal.unlink()


def _settings(questions: str, output: str) -> dict[str, Any]:
    """What determines the lines: the options, the precision of this machine, and models and questions by content."""
    from fidtools.compute.device import Compute
    from fidtools.data.files import STANDARD
    from fidtools.data.hashes import file_sha256
    from fidtools.data.pipes import seekable
    from fidtools.training.run_record import model_version

    if output == STANDARD:
        raise UsageError("--resume continues a file", hint="name it with -o")
    if questions == STANDARD:
        raise UsageError("--resume reads the questions again", hint="give them as a file")
    context = click.get_current_context()
    left_out = NOT_IN_RESULT if context.command.name in ROUNDED_BY_BATCH else (*NOT_IN_RESULT, "token_budget")
    given = {name: value for name, value in context.params.items() if name not in left_out}
    given["precision"] = Compute.choose(given["precision"]).precision
    versions = {f"{name}_version": model_version(given[name]) for name in MODELS if name in given}
    return {"command": context.command.name, **given, **versions, "questions": file_sha256(seekable(questions))}

"""The `fidtools` command: loads the subcommands of `fidtools.commands`; turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click

import fidtools
from fidtools.commands import SECTIONS, SUMMARIES, load_command
from fidtools.console import prepare_streams
from fidtools.errors import (
    INCOMPLETE,
    DataError,
    FidtoolsError,
    did_you_mean,
    is_out_of_memory,
    no_room,
    printable,
    shorten,
    show_path,
)
from fidtools.logs import WHITE_SPACE, log, stop_bars

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads yield: 3-11 times faster on a shared machine
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # default 1024: memory grew by 400 MB

INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143
BUG = os.EX_SOFTWARE  # 70
MOST_SHOWN = 300  # characters of an unforeseen error
COMPLETION = "_FIDTOOLS_COMPLETE"


class LazyGroup(click.Group):
    """The commands that `fidtools.commands` lists; a command's module is imported when the command is run.

    `train-reader` is the object `command` of `fidtools/commands/train_reader.py`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of the work."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, or None when there is none."""
        if name not in SUMMARIES:
            return None
        command = load_command(name)
        command.short_help = SUMMARIES[name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names. Raises UsageError for another word, with what may be meant."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}.{did_you_mean(args[0], SUMMARIES)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, with the summaries of all of them in one column."""
        width = max(map(len, SUMMARIES))
        for title, summaries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in summaries.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(fidtools.__version__, prog_name="fidtools")
def cli() -> None:
    """Train open-domain question-answering retrievers without passage labels.

    Commands that work on questions read JSON lines from a file or standard input and write them to -o or standard
    output, so they can be piped:

    \b
      fidtools bm25 questions.jsonl --passages passages.jsonl |
        fidtools score-attn --reader reader | fidtools eval
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise FidtoolsError("the current folder no longer exists", hint="change to one that does") from error


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; exit 0 on success, 1 for data and run-time errors, 2 for usage errors, 70 for bugs."""
    prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    code = run(args)
    if code == 0 and (ranks := sys.modules.get("fidtools.compute.ranks")):
        code = _leave(ranks.shutdown)
    sys.exit(code)


def _leave(shutdown: Callable[[], None]) -> int:
    """Wait for the other ranks, and return the exit code: one that fails at its end leaves the others a message."""
    try:
        shutdown()
    except FidtoolsError as error:
        return _report(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _report("interrupted", INTERRUPTED)
    return 0


def run(args: list[str] | None = None) -> int:
    """Run the command line `args` (default: the process's), print any error message, and return the exit code.

    Under several ranks, call `fidtools.compute.ranks.shutdown` after the last run, as `main` does.
    """
    try:
        return _run(args)
    finally:
        stop_bars()


def _run(args: list[str] | None) -> int:
    try:
        if COMPLETION in os.environ:  # the shell asks for completions: click answers
            cli.main(prog_name="fidtools")
        with cli.make_context("fidtools", sys.argv[1:] if args is None else list(args)) as context:
            cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(file=shown)
        return _print(shown.getvalue(), error.exit_code)
    except click.exceptions.Exit as error:
        return error.exit_code
    except DataError as error:
        return _report(str(_explained(error)), error.exit_code)
    except FidtoolsError as error:
        return _report(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _report("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        return _report(_system_message(error, lost=_abandon_output()), 1)
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # panics of libraries in Rust are no Exceptions
        return _unforeseen(error)
    return 0


def _explained(error: DataError) -> DataError:
    """The error, or a better one when a file is of another format than the command reads."""
    if error.expected is None:
        return error
    from fidtools.formats.foreign import explained

    return explained(error)


def _unforeseen(error: BaseException) -> int:
    """Report an error of a library: out of memory, a full disk, or a bug, which gets one line and exit code 70."""
    if is_out_of_memory(error):
        return _report(str(_out_of_memory(error)), 1)
    if full := no_room(error):
        return _report(_system_message(OSError(errno.ENOSPC, full)), 1)
    if log.isEnabledFor(logging.DEBUG):
        _print("".join(traceback.format_exception(error)), BUG)
    what = f"{type(error).__name__}: {shorten(str(error), MOST_SHOWN)}".rstrip(": ")
    return _report(f"unexpected error: {what}\n  run it again with -v for the traceback, and please report it", BUG)


def _out_of_memory(error: BaseException) -> FidtoolsError:
    wanted = re.search(r"(?:[Tt]ried to|[Uu]nable to) allocate (\S+ \w+)", str(error))
    size = f": {wanted[1]} could not be allocated" if wanted else ""
    place = "GPU memory" if "CUDA" in str(error) else "memory"
    hint = "try a smaller --token-budget, fewer passages per question, or --gradient-checkpointing in training"
    hint = hint if "torch" in sys.modules else "try smaller numbers"
    return FidtoolsError(f"out of {place}{size}", hint=hint)


def _broken_pipe() -> int:
    """Exit code after the reading end closed (`| head`)."""
    _abandon_output()
    return BROKEN_PIPE


def _abandon_output() -> bool:
    """Let the interpreter's last flush of a standard output that cannot be written to go to /dev/null.

    Returns whether it cannot.
    """
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout is not None:
            sys.stdout.flush()
        return False
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _report(message: str, code: int) -> int:
    return _print(f"fidtools: {message}\n", code)


def _print(text: str, code: int) -> int:
    """Print a message below the bars, which end; no terminal obeys what it quotes of the data."""
    stop_bars()
    with contextlib.suppress(OSError):  # nobody reads standard error
        sys.stderr.write(printable(text, keep=WHITE_SPACE))
        sys.stderr.flush()
    return code


def _system_message(error: OSError, *, lost: bool = False) -> str:
    """The system's words. `lost` says that standard output, to which help and reports are printed, has no room."""
    if lost and (full := no_room(error)):
        return f"<stdout>: {full.lower()}\n  {INCOMPLETE}"
    name = f"{show_path(os.fsdecode(error.filename))}: " if error.filename else ""
    hint = "\n  no incomplete output was left; free some space and run it again" if no_room(error) else ""
    if isinstance(error, IsADirectoryError) and error.filename:
        from fidtools.formats.foreign import conversion_of_folder

        hint = conversion_of_folder(os.fsdecode(error.filename))
    return f"{name}{(error.strerror or str(error)).lower()}{hint}"


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)

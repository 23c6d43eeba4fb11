"""The `fidtools` command: finds its subcommands in `fidtools.commands`; turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import re
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

import fidtools
from fidtools import commands
from fidtools.errors import FidtoolsError

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads yield: 3-11 times faster on a shared machine
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # of 1024 shapes of products: memory grew by 400 MB

INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143
COMPLETION = "_FIDTOOLS_COMPLETE"
FULL = os.strerror(errno.ENOSPC)  # tantivy, faiss and safetensors raise errors of their own that quote it


class LazyGroup(click.Group):
    """Imports a subcommand's module when it is asked for. `train-reader` lives in `commands/train_reader.py`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every module of `fidtools.commands`, as a command name."""
        return sorted(
            module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__) if module.name[0] != "_"
        )

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, or None when there is none."""
        if name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"fidtools.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(fidtools.__version__, prog_name="fidtools")
def cli() -> None:
    """Train open-domain question-answering retrievers without passage labels.

    What works on questions reads JSON lines from a file or standard input and writes them to -o or standard output, so
    that a pipe chains them:

    \b
      fidtools bm25 questions.jsonl --passages passages.jsonl | fidtools score-attn --reader reader | fidtools eval
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; exit 0 on success, 1 for data and run-time errors, 2 for wrong usage."""
    signal.signal(signal.SIGTERM, _terminate)
    code = run(args)
    if code == 0 and (ranks := sys.modules.get("fidtools.compute.ranks")):
        ranks.shutdown()
    sys.exit(code)


def run(args: list[str] | None = None) -> int:
    """The exit code of the command line `args` (default: the process's), with every message already printed."""
    try:
        if COMPLETION in os.environ:  # the shell asks what could follow: click's own business
            cli.main(prog_name="fidtools")
        with cli.make_context("fidtools", sys.argv[1:] if args is None else list(args)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except FidtoolsError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _reader_has_left()
    except OSError as error:
        return _complain(_system_message(error), 1)
    except Exception as error:
        if _is_out_of_memory(error):
            return _complain(str(_out_of_memory(error)), 1)
        if FULL not in str(error):
            raise
        return _complain(_system_message(OSError(errno.ENOSPC, FULL)), 1)
    return 0


def _is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch could not allocate GPU memory. A command that never imported torch cannot have raised it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _out_of_memory(error: Exception) -> FidtoolsError:
    wanted = re.search(r"Tried to allocate (\S+ \w+)", str(error))
    size = f": {wanted[1]} could not be allocated" if wanted else ""
    hint = "try a smaller --token-budget, fewer passages per question, or --gradient-checkpointing in training"
    return FidtoolsError(f"out of GPU memory{size}", hint=hint)


def _reader_has_left() -> int:
    """`| head` has what it wants: nothing more to say, not even by the interpreter when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _complain(message: str, code: int) -> int:
    print(f"fidtools: {message}", file=sys.stderr)
    return code


def _system_message(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    hint = "\n  nothing was left half-written; free some space and run it again" if error.errno == errno.ENOSPC else ""
    return f"{name}{(error.strerror or str(error)).lower()}{hint}"


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)

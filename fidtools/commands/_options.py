"""Options that several commands share, each with one meaning in all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from click.core import ParameterSource

from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.compute.precision import PRECISIONS
from fidtools.errors import UsageError
from fidtools.logs import log, set_verbosity

F = TypeVar("F", bound=Callable[..., Any])


class Option(Protocol):
    """A decorator that adds an option or an argument to a command."""

    def __call__(self, function: F, /) -> F: ...


questions: Option = click.argument("questions", type=paths.input_file, default="-")


def output_among(*suffixes: str) -> Option:
    """-o; files with these suffixes are written also in a folder of the input, from which they are not read."""
    return click.option(
        "-o",
        "--output",
        type=paths.OutputFile(suffixes=suffixes),
        default="-",
        show_default="stdout",
        help="Output file; a name ending in .gz is compressed.",
    )


output: Option = output_among()
passages: Option = click.option(
    "-p",
    "--passages",
    required=True,
    type=paths.input_file,
    help="Corpus: JSON lines with id, title, text, or DPR's .tsv.",
)
reader: Option = click.option(
    "--reader", required=True, type=paths.model, help="Reader: a folder, or a model name on the Hugging Face hub."
)
retriever: Option = click.option(
    "--retriever",
    required=True,
    type=paths.model,
    help="Retriever: a folder, or a model name on the Hugging Face hub.",
)
embeddings: Option = click.option(
    "--embeddings", type=paths.EmbeddingsFile(Path), help="Embeddings of the passages: X.npy from `fidtools embed`."
)
index: Option = click.option(
    "--index", type=paths.Named(Path), help="Instead of --embeddings: a folder from `fidtools index`."
)
index_parameters: Option = click.option(
    "--index-parameters", metavar="TEXT", help="Search parameters, such as nprobe=64.  [default: the index's]"
)
max_memory: Option = click.option(
    "--max-memory",
    type=values.gigabytes,
    default=1.0,
    show_default=True,
    help="Memory limit of exact search, in GB.",
)
top_k: Option = click.option(
    "-k", "--k", "k", type=values.positive, default=100, show_default=True, help="Passages per question."
)
n_context: Option = click.option(
    "--n-context", type=values.positive, help="Passages read per question, best first.  [default: the reader's]"
)
within: Option = click.option(
    "--within", type=click.Choice(["doc_id"]), help="Search only passages with the question's value of this field."
)
bm25_index: Option = click.option(
    "--bm25-index", type=paths.OutputFolder(), help="Folder of the BM25 index.  [default: as in bm25]"
)
precision: Option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto: bf16 where the hardware multiplies it faster than float32.",
)
TOKEN_BUDGET = 16384
"""Tokens in one encoder call, unless the command line says otherwise."""
token_budget: Option = click.option(
    "--token-budget",
    type=values.positive,
    default=TOKEN_BUDGET,
    show_default=True,
    help="Tokens per encoder call: limits memory, does not change results.",
)
seed: Option = click.option("--seed", type=values.seed, default=0, show_default=True, help="Random seed.")
resume: Option = click.option(
    "--resume",
    is_flag=True,
    help="Continue an interrupted run of the same options; start from scratch where there is none. A finished run is "
    "left as it is.",
)
force: Option = click.option("--force", is_flag=True, help="Replace an output folder that holds other files.")


def _verbosity(ctx: click.Context, param: click.Parameter, value: int) -> int:
    key = "verbosity"
    ctx.meta[key] = ctx.meta.get(key, 0) + (value if param.name == "verbose" else -value)
    set_verbosity(ctx.meta[key])
    return value


_verbose: Option = click.option(
    "-v", "--verbose", count=True, expose_value=False, callback=_verbosity, help="More log output (repeatable)."
)
_quiet: Option = click.option(
    "-q", "--quiet", count=True, expose_value=False, callback=_verbosity, help="Less output, no progress bar."
)


def verbosity(function: F) -> F:
    """Add -v and -q, which every command has."""
    return _verbose(_quiet(function))


def stacked(*options: Option) -> Option:
    """Several options as one decorator, in the order in which help lists them."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def check_vectors(embeddings: object, index: object) -> None:
    """Raise UsageError unless exactly one of --embeddings and --index is given."""
    if (embeddings is None) == (index is None):
        raise UsageError("give exactly one of --embeddings (exact search) or --index (from `fidtools index`)")


def is_given(name: str) -> bool:
    """Whether the command line gives an option, by the name of its parameter."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def warn_unused(reason: str, *names: str) -> None:
    """Warn of options that the command line gives, by the names of their parameters, and that have no effect."""
    given = [name for name in names if is_given(name)]
    flags = [option.opts[-1] for option in click.get_current_context().command.params if option.name in given]
    if flags:
        log.warning("%s %s no effect %s", ", ".join(flags), "has" if len(flags) == 1 else "have", reason)

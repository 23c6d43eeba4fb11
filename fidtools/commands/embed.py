"""fidtools embed: vectors of passages or questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.compute.precision import Precision
from fidtools.encoders.pooling import POOLINGS
from fidtools.errors import UsageError


@click.command("embed")
@click.argument("input", type=paths.input_file, default="-")
@options.retriever
@click.option("-o", "--output", required=True, type=paths.OutputFile(Path), help="X.npy; also writes X.ids and X.json.")
@click.option("--questions", is_flag=True, help="Embed questions instead of passages.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8", "binary"]),
    default="float32",
    show_default=True,
    help="Number type of the vectors: 4 bytes, 2 bytes, 1 byte or 1 bit per dimension.",
)
@click.option(
    "--dim",
    type=values.positive,
    help="Keep the first N dimensions, for models trained for that (Matryoshka).  [default: all]",
    metavar="N",
)
@click.option(
    "--pooling", type=click.Choice(POOLINGS), help="Pooling method.  [default: the retriever's; cls for a plain model]"
)
@click.option(
    "--passage-maxlength",
    type=values.tokens,
    help="Maximum tokens per passage.  [default: the retriever's; 200 for a plain model]",
)
@click.option(
    "--question-maxlength",
    type=values.tokens,
    help="Maximum tokens per question.  [default: the retriever's; 40 for a plain model]",
)
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(
    input: str,
    retriever: str,
    output: Path,
    questions: bool,
    dtype: str,
    dim: int | None,
    precision: Precision,
    token_budget: int,
    resume: bool,
    **changes: Any,
) -> None:
    """Encode passages or questions as vectors.

    Writes one row of X.npy for each passage of INPUT (JSON lines or DPR's .tsv), in order. X.ids holds the ids of the
    rows. X.json describes the encoder and the passages, so that searching with others is refused. --retriever can also
    be a plain encoder that was not trained for retrieval. Runs under torchrun.

    \b
      fidtools embed passages.jsonl --retriever retriever -o passages.npy
      fidtools embed passages.jsonl --retriever bert-base-uncased --pooling mean -o start.npy
      fidtools embed --questions dev.jsonl --retriever retriever -o dev.npy
      fidtools embed passages.jsonl --retriever retriever --dtype int8 -o small.npy
    """
    if output.suffix != ".npy":
        raise UsageError(f"--output must end in .npy, not {output}")
    from fidtools.compute.device import Compute
    from fidtools.retriever.embedding import embed
    from fidtools.retriever.encoding import load_retriever
    from fidtools.retriever.text_sources import open_source

    given = {name: value for name, value in changes.items() if value is not None}
    model = load_retriever(retriever, compute=Compute.choose(precision), **given)
    source = open_source(input, questions)
    embed(source, model, output, dtype=dtype, dim=dim, token_budget=token_budget, resume=resume)

"""fidtools plan: estimate what an iteration takes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values

if TYPE_CHECKING:
    from fidtools.data.files import Output
    from fidtools.planning import Rates, Stage

BYTES = {"float32": 4, "float16": 2, "int8": 1, "binary": 0.125}  # per number
count = values.Count(most=10**12)
width = values.Count(most=1 << 13)  # the rate of an encoder of this size is measured


@click.command("plan")
@click.option("--passages", type=count, default=21_015_324, show_default=True, help="Passages in the corpus.")
@click.option("--questions", type=count, default=79_168, show_default=True, help="Questions to retrieve for.")
@click.option("--dim", type=width, default=768, show_default=True, help="Vector length, and hidden size of the models.")
@click.option("--layers", type=count, default=12, show_default=True, help="Layers of the models' encoders.")
@click.option("--tokens", type=width, default=200, show_default=True, help="Tokens per passage.")
@click.option(
    "--dtype", type=click.Choice(list(BYTES)), default="float32", show_default=True, help="Type of the embeddings."
)
@options.top_k
@click.option("--n-context", type=count, default=100, show_default=True, help="Passages that the reader reads.")
@click.option("--steps", type=count, default=10_000, show_default=True, help="Training steps, of reader and retriever.")
@click.option("--batch", type=count, default=64, show_default=True, help="Questions per training step.")
@options.max_memory
@click.option("--ranks", type=count, default=1, show_default=True, help="Processes under torchrun.")
@click.option(
    "--folder",
    type=paths.Place(Path),
    default=".",
    help="Folder on the disk to measure.  [default: .]",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines, one per stage, in seconds and bytes.")
@options.output
@options.verbosity
def command(
    passages: int,
    questions: int,
    dim: int,
    layers: int,
    tokens: int,
    dtype: str,
    k: int,
    n_context: int,
    steps: int,
    batch: int,
    max_memory: float,
    ranks: int,
    folder: Path,
    as_json: bool,
    output: str,
) -> None:
    """Estimate disk space, memory and time of every stage of an iteration on this machine.

    First the rates of an encoder of this size, exact search, BM25 and the disk are measured, in about ten seconds.
    Memory is without the models. Nothing else is run or written.

    \b
      fidtools plan --passages 21000000 --dim 768 --questions 79168
      fidtools plan --passages 2000000 --dim 384 --layers 6 --ranks 8 --json
    """
    from fidtools.data.files import open_output
    from fidtools.errors import UsageError
    from fidtools.planning import Work, calibrate, stages

    if not folder.is_dir():
        raise UsageError(f"--folder {folder}: no such folder", hint="name one on the disk that will have the data")
    work = Work(
        passages=passages,
        questions=questions,
        dim=dim,
        layers=layers,
        k=k,
        n_context=n_context,
        tokens=tokens,
        dtype_bytes=BYTES[dtype],
        reader_examples=steps * batch,
        retriever_examples=steps * batch,
        memory=max_memory * 1e9,
        ranks=ranks,
    )
    rates = calibrate(work, folder)
    _log_rates(rates)
    with open_output(output) as out:
        _write(out, stages(work, rates), as_json)


def _log_rates(rates: Rates) -> None:
    from fidtools.logs import log

    log.info("measured, for one process:")
    log.info(
        "  encoder %.3g tokens/s, search %.3g products/s, BM25 %.3g passages/s", rates.encoder, rates.search, rates.bm25
    )
    log.info("  disk %.3g MB/s written, %.3g MB/s read", rates.disk_write / 1e6, rates.disk_read / 1e6)


def _write(out: Output, stages: list[Stage], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        for stage in stages:
            out.line(asdict(stage))
        return
    out.write(b"stage                 time     disk GB   memory GB\n")
    for stage in stages:
        numbers = f"{stage.disk / 1e9:10.2f}  {stage.memory / 1e9:10.2f}"
        out.write(f"{stage.name:16} {_duration(stage.seconds):>9} {numbers}\n".encode())


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"

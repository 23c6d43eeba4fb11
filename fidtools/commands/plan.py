"""fidtools plan: what an iteration takes here."""

from __future__ import annotations

from pathlib import Path

import click

from fidtools.commands import _options as options

count = click.IntRange(min=1)


@click.command("plan")
@click.option("--passages", type=count, default=21_015_324, show_default=True, help="Passages of the corpus.")
@click.option("--questions", type=count, default=79_168, show_default=True, help="Questions to retrieve for.")
@click.option("--dim", type=count, default=768, show_default=True, help="Length of the vectors; width of the models.")
@click.option("--layers", type=count, default=12, show_default=True, help="Layers of the models' encoders.")
@click.option("--tokens", type=count, default=200, show_default=True, help="Tokens of a passage.")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@options.top_k
@click.option("--n-context", type=count, default=100, show_default=True, help="Passages the reader reads.")
@click.option("--steps", type=count, default=10_000, show_default=True, help="Of each training.")
@click.option("--batch", type=count, default=64, show_default=True, help="Questions in a step.")
@click.option("--max-memory", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="Of search, in GB.")
@click.option("--ranks", type=count, default=1, show_default=True, help="Processes such as this one, under torchrun.")
@click.option("--folder", type=click.Path(path_type=Path), default=".", help="Where the data will lie.  [default: .]")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per stage: seconds and bytes.")
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
    """Say what an iteration will take on this machine: disk, memory and time of every stage.

    Rates are measured first, in about ten seconds: an encoder of this width, exact search, BM25 and the disk. Memory is
    beyond the models'. Nothing else is touched.

    \b
      fidtools plan --passages 21000000 --dim 768 --questions 79168
      fidtools plan --passages 2000000 --dim 384 --layers 6 --dtype float16 --ranks 8 --json
    """
    from dataclasses import asdict

    from fidtools.data.files import open_output
    from fidtools.logs import log
    from fidtools.planning import Work, calibrate, stages

    work = Work(
        passages=passages,
        questions=questions,
        dim=dim,
        layers=layers,
        k=k,
        n_context=n_context,
        tokens=tokens,
        dtype_bytes=4 if dtype == "float32" else 2,
        reader_examples=steps * batch,
        retriever_examples=steps * batch,
        memory=max_memory * 1e9,
        ranks=ranks,
    )
    rates = calibrate(work, folder)
    log.info("measured, for one process:")
    log.info("  encoder %.3g tokens/s, search %.3g products/s, BM25 %.3g passages/s", *list(asdict(rates).values())[:3])
    log.info("  disk %.3g MB/s written, %.3g MB/s read", rates.disk_write / 1e6, rates.disk_read / 1e6)
    with open_output(output) as out:
        if as_json:
            for stage in stages(work, rates):
                out.line(asdict(stage))
            return
        out.write(b"stage                 time     disk GB   memory GB\n")
        for stage in stages(work, rates):
            numbers = f"{stage.disk / 1e9:10.2f}  {stage.memory / 1e9:10.2f}"
            out.write(f"{stage.name:16} {_duration(stage.seconds):>9} {numbers}\n".encode())


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"

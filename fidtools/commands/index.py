"""fidtools index: build a FAISS index of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.search.index_specs import IndexType


@click.command("index")
@click.argument("embeddings", type=paths.EmbeddingsFile(Path))
@click.option("-o", "--output", required=True, type=paths.OutputFolder(Path), help="Index folder to write.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["flat", "hnsw", "ivf", "ivfpq", "sq8", "fp16"]),
    default="hnsw",
    show_default=True,
    help="flat: exact; hnsw: fast for single questions; ivf: lists; ivfpq: smallest; sq8, fp16: 1, 2 bytes per number.",
)
@click.option("--factory", metavar="TEXT", help="FAISS factory string, instead of --type.")
@click.option("--parameters", metavar="TEXT", help="Search parameters, such as nprobe=64.  [default: by --type]")
@click.option(
    "--verify", type=paths.EmbeddingsFile(Path), help="Embeddings of questions: report recall against exact search."
)
@options.top_k
@click.option("--gpu", is_flag=True, help="Train and add on the first GPU (needs faiss-gpu).")
@options.seed
@options.force
@options.verbosity
def command(
    embeddings: Path,
    output: Path,
    kind: IndexType,
    factory: str | None,
    parameters: str | None,
    verify: Path | None,
    k: int,
    gpu: bool,
    seed: int,
    force: bool,
) -> None:
    """Build a FAISS index of EMBEDDINGS (X.npy from `fidtools embed`) by inner product, for `retrieve --index`.

    Exact search needs no index. An index helps to answer single questions fast, or to make vectors take less memory. -k
    is the k of the recall that --verify reports.

    \b
      fidtools index passages.npy -o passages.index
      fidtools index passages.npy --type ivfpq --verify dev.npy -o small.index
      fidtools index passages.npy --factory OPQ64,IVF4096,PQ64 -o mine.index
    """
    if verify is None:
        options.warn_unused("without --verify", "k")
    if factory is not None:
        options.warn_unused("with --factory", "kind")
    from dataclasses import replace

    from fidtools.data.embeddings import read_parts
    from fidtools.logs import log
    from fidtools.search.faiss_build import build_index
    from fidtools.search.faiss_file import load_faiss
    from fidtools.search.index_specs import IndexSpec, index_spec

    load_faiss()
    parts = read_parts(embeddings)
    chosen = (
        IndexSpec(factory) if factory is not None else index_spec(kind, sum(part.rows for part in parts), parts[0].dim)
    )
    if parameters is not None:
        chosen = replace(chosen, parameters=parameters)
    if output.suffix == ".npy":
        raise UsageError(f"--output must name a folder, not {output}")
    meta = build_index(embeddings, output, chosen, questions=verify, k=k, gpu=gpu, seed=seed, force=force)
    log.info("%s: %s, %.1f s, %.3g GB", output, meta["factory"], meta["seconds"], meta["bytes"] / 1e9)
    if verify is not None:
        found = meta["recall"]
        log.info("recall@%d of %d questions against exact search: %.4f", k, found["questions"], found["value"])

"""fidtools index: a FAISS index of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.errors import UsageError


@click.command("index")
@click.argument("embeddings", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The index folder.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["flat", "hnsw", "ivf", "ivfpq", "sq8", "fp16"]),
    default="hnsw",
    show_default=True,
    help="flat: exact; hnsw: fast for single questions; ivf: lists; ivfpq: smallest; sq8, fp16: 1 or 2 bytes a number.",
)
@click.option("--factory", metavar="TEXT", help="Any index by FAISS's own description, instead of --type.")
@click.option("--parameters", metavar="TEXT", help="What searches use, such as nprobe=64.  [default: by --type]")
@click.option(
    "--verify", type=click.Path(path_type=Path), help="X.npy of questions: report recall against exact search."
)
@options.top_k
@click.option("--gpu", is_flag=True, help="Train and add on the first GPU (needs faiss-gpu).")
@options.seed
@options.verbosity
def command(
    embeddings: Path,
    output: Path,
    kind: Any,
    factory: str | None,
    parameters: str | None,
    verify: Path | None,
    k: int,
    gpu: bool,
    seed: int,
) -> None:
    """Index EMBEDDINGS (X.npy from `fidtools embed`) with FAISS, by inner product, for `retrieve --index`.

    Exact search needs no index. One pays for single questions, and for vectors that shall take less memory. -k is of
    --verify: recall@k.

    \b
      fidtools index passages.npy -o passages.index
      fidtools index passages.npy --type ivfpq --verify dev.npy -o small.index
      fidtools index passages.npy --factory OPQ64,IVF4096,PQ64 --parameters nprobe=128 -o mine.index
    """
    from dataclasses import replace

    from fidtools.data.embeddings import read_embeddings, shards
    from fidtools.logs import log
    from fidtools.search.faiss_build import build_index
    from fidtools.search.faiss_index import load_faiss
    from fidtools.search.index_specs import IndexSpec, index_spec

    load_faiss()
    parts = [read_embeddings(part) for part in shards(embeddings)]
    chosen = IndexSpec(factory) if factory else index_spec(kind, sum(part.rows for part in parts), parts[0].dim)
    if parameters is not None:
        chosen = replace(chosen, parameters=parameters)
    if output.suffix == ".npy":
        raise UsageError(f"an index is a folder, not {output}")
    meta = build_index(embeddings, output, chosen, questions=verify, k=k, gpu=gpu, seed=seed)
    log.info("%s: %s, %.1f s, %.3g GB", output, meta["factory"], meta["seconds"], meta["bytes"] / 1e9)
    if verify is not None:
        found = meta["recall"]
        log.info("recall@%d of %d questions against exact search: %.4f", k, found["questions"], found["value"])

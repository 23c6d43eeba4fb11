"""The options of the commands that answer questions one at a time: what to search, and who reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.encoders.pooling import POOLINGS
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.serving.opening import Sources

sources: options.Option = options.stacked(
    options.passages,
    click.option("--bm25", is_flag=True, help="Search with BM25; the index is built on the first run."),
    click.option(
        "--engine", type=click.Choice(["tantivy", "lucene"]), default="tantivy", show_default=True, help="As in bm25."
    ),
    click.option(
        "--analyzer",
        type=click.Choice(["english", "standard", "spacy"]),
        default="english",
        show_default=True,
        help="As in bm25.",
    ),
    options.bm25_index,
    click.option(
        "--retriever",
        type=paths.model,
        help="Search with a retriever; with --bm25, the two rankings are fused. Needs --embeddings or --index.",
    ),
    options.embeddings,
    options.index,
    options.index_parameters,
    click.option("--pooling", type=click.Choice(POOLINGS), help="As in retrieve."),
    options.max_memory,
    click.option("--force", is_flag=True, help="Search even if embeddings, passages and retriever do not match."),
    click.option("--reader", type=paths.model, help="Answer with this reader: a folder, or a name on the hub."),
    options.n_context,
    options.token_budget,
    options.precision,
)
"""The options that `sources_from` reads, and --reader, --n-context and --token-budget."""


def check_sources(given: dict[str, Any]) -> None:
    """Raise UsageError for options that contradict each other. Imports nothing heavy."""
    vectors = [name for name in ("embeddings", "index") if given[name] is not None]
    if given["retriever"] is None and vectors:
        raise UsageError(f"--{vectors[0]} needs the --retriever that it was made with")
    if given["retriever"] is None and not given["bm25"]:
        raise UsageError("nothing to search with", hint="give --bm25, or --retriever with --embeddings, or both")
    if given["retriever"] is not None:
        options.check_vectors(given["embeddings"], given["index"])


def sources_from(given: dict[str, Any]) -> Sources:
    """The sources that the options of a command line name, as click gives them."""
    from fidtools.serving.opening import Sources
    from fidtools.sparse.engine import BM25Settings

    names = ("passages", "retriever", "embeddings", "index", "index_parameters", "pooling")
    return Sources(
        **{name: given[name] for name in (*names, "max_memory", "force", "precision")},
        bm25=BM25Settings(given["engine"], given["analyzer"]) if given["bm25"] else None,
        bm25_folder=given["bm25_index"],
    )

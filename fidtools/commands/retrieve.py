"""fidtools retrieve: rank passages by a retriever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _types as types
from fidtools.compute.precision import Precision
from fidtools.encoders.pooling import POOLINGS
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.data.corpus import Corpus
    from fidtools.retriever.encoding import Retriever
    from fidtools.search.backends import ExactIndex, SearchIndex


@click.command("retrieve")
@options.questions
@options.retriever
@click.option(
    "--embeddings", type=types.EmbeddingsFile(Path), help="Embeddings of the passages: X.npy from `fidtools embed`."
)
@click.option("--index", type=types.Named(Path), help="Instead of --embeddings: a folder from `fidtools index`.")
@click.option(
    "--index-parameters", metavar="TEXT", help="Search parameters, such as nprobe=64.  [default: the index's]"
)
@click.option(
    "--rescore",
    type=types.EmbeddingsFile(Path),
    help="Float embeddings of the same passages: rank the best candidates of the search again by these.",
)
@click.option(
    "--oversample",
    type=types.Number(1, most=1000),
    default=4.0,
    show_default=True,
    help="Candidates that --rescore ranks, in multiples of -k.",
)
@click.option(
    "--verify",
    type=types.EmbeddingsFile(Path),
    help="Float embeddings of the same passages: report recall against exact search of these, for 1,000 questions.",
)
@options.passages
@options.output
@options.top_k
@options.within
@click.option(
    "--max-memory",
    type=types.gigabytes,
    default=1.0,
    show_default=True,
    help="Memory limit of exact search, in GB.",
)
@click.option("--force", is_flag=True, help="Search even if embeddings, passages and retriever do not match.")
@click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
    help="As given to `fidtools embed`.  [default: the retriever's; cls for a plain model]",
)
@options.precision
@options.verbosity
def command(
    questions: str,
    retriever: str,
    embeddings: Path | None,
    index: Path | None,
    index_parameters: str | None,
    rescore: Path | None,
    oversample: float,
    verify: Path | None,
    passages: str,
    output: str,
    k: int,
    within: str | None,
    max_memory: float,
    force: bool,
    pooling: str | None,
    precision: Precision,
) -> None:
    """Rank the passages of a corpus for QUESTIONS by a retriever's vectors.

    With --embeddings the search is exact. No index is built and the corpus is not held in memory: the vectors are read
    from disk for many questions at once. Under torchrun each rank searches a part of them. With --index a FAISS
    index is searched: for few questions at a time, in one process.

    The embeddings may be smaller than the retriever's vectors (`embed --dtype int8`, `--dim 128`). Questions stay
    float vectors. --rescore X.npy wins back most of what that loses, and --verify X.npy measures it.

    \b
      fidtools retrieve dev.jsonl --retriever retriever --embeddings p.npy \\
        -p passages.jsonl -o ranked.jsonl
      fidtools retrieve dev.jsonl --retriever retriever --embeddings small.npy \\
        --rescore p.npy --verify p.npy -p passages.jsonl -o ranked.jsonl
      fidtools retrieve … --within doc_id -k 20 | fidtools eval
    """
    if (embeddings is None) == (index is None):
        raise UsageError("give exactly one of --embeddings (exact search) or --index (from `fidtools index`)")
    if index is not None and within is not None:
        raise UsageError("--within needs exact search", hint="give --embeddings instead of --index")
    from fidtools.compute.device import Compute
    from fidtools.compute.ranks import main_rank_first, output_on_main_rank, ranks, refuse_shared_stdin
    from fidtools.data.corpus import open_passages
    from fidtools.data.jsonl import write_lines
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.retriever.encoding import load_retriever
    from fidtools.search.rescored_index import RescoredIndex
    from fidtools.search.retrieval import retrieve
    from fidtools.search.verification import VerifiedIndex

    refuse_shared_stdin(questions)
    refuse_shared_stdin(passages)
    changes: dict[str, Any] = {} if pooling is None else {"pooling": pooling}
    model = load_retriever(retriever, compute=Compute.choose(precision), **changes)
    with main_rank_first():
        texts = open_passages(passages)
    corpus: SearchIndex = (
        _exact_index(embeddings, texts, model, force, max_memory)
        if embeddings is not None
        else _faiss_index(index, texts, model, force, index_parameters)
    )
    exact = None
    if rescore is not None:
        exact = _float_index("--rescore", rescore, texts, model, force, max_memory)
        corpus = RescoredIndex(corpus, exact, oversample)
    if verify is not None:
        if exact is None or verify != rescore:
            exact = _float_index("--verify", verify, texts, model, force, max_memory)
        corpus = verified = VerifiedIndex(corpus, exact)
    asked, settings = read_questions(questions), model.settings
    ranked = retrieve(
        asked, model.encode_questions, corpus, k, within=within is not None, normalized=settings.normalize
    )
    write_lines(output_on_main_rank(output), (question.to_json() for question in track(ranked, "questions")))
    if verify is not None and ranks().is_main:
        verified.report(k, verify)
    model.report_cuts(shared=True)


def _exact_index(embeddings: Path, passages: Corpus, model: Retriever, force: bool, max_memory_gb: float) -> ExactIndex:
    from fidtools.search.backends import ExactIndex

    return ExactIndex(
        embeddings, passages, model.fingerprint, dim=model.dim, force=force, memory=int(max_memory_gb * 1e9)
    )


def _float_index(
    option: str, embeddings: Path, passages: Corpus, model: Retriever, force: bool, max_memory_gb: float
) -> ExactIndex:
    """The embeddings of an option that needs float vectors. Raises UsageError for others."""
    index = _exact_index(embeddings, passages, model, force, max_memory_gb)
    if not index.has_floats:
        raise UsageError(f"{option} needs float32 or float16 embeddings; {embeddings} has smaller ones")
    return index


def _faiss_index(
    folder: Path | None, passages: Corpus, model: Retriever, force: bool, parameters: str | None
) -> SearchIndex:
    from fidtools.search.faiss_index import FaissIndex

    assert folder is not None, "checked: without --embeddings there is --index"
    return FaissIndex(folder, passages, model.fingerprint, dim=model.dim, force=force, parameters=parameters)

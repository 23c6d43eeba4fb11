"""fidtools retrieve: rank passages by a retriever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.compute.precision import Precision
from fidtools.encoders.pooling import POOLINGS
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.retriever.encoding import Retriever
    from fidtools.search.question_vectors import QuestionSide


@click.command("retrieve")
@options.questions
@click.option(
    "--retriever",
    type=paths.model,
    help="Retriever: a folder, or a model name on the Hugging Face hub.",
)
@click.option(
    "--question-embeddings",
    type=paths.EmbeddingsFile(Path),
    help="Instead of --retriever: embeddings of the questions by id, X.npy from `fidtools embed --questions` or "
    "`fidtools convert`.",
)
@options.embeddings
@options.index
@options.index_parameters
@click.option(
    "--rescore",
    type=paths.EmbeddingsFile(Path),
    help="Float embeddings of the same passages: rank the best candidates of the search again by these.",
)
@click.option(
    "--oversample",
    type=values.Number(1, most=1000),
    default=4.0,
    show_default=True,
    help="Candidates that --rescore ranks, in multiples of -k.",
)
@click.option(
    "--verify",
    type=paths.EmbeddingsFile(Path),
    help="Float embeddings of the same passages: report recall against exact search of these, for 1,000 questions.",
)
@options.passages
@options.output
@options.top_k
@options.within
@options.max_memory
@click.option(
    "--force", is_flag=True, help="Search even if embeddings, passages, questions and retriever do not match."
)
@click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
    help="As given to `fidtools embed`.  [default: the retriever's; cls for a plain model]",
)
@options.precision
@options.verbosity
def command(
    questions: str,
    retriever: str | None,
    question_embeddings: Path | None,
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

    A passage's `score` is the inner product of its vector and the question's, divided by the square root of their
    dimension d. For vectors of unit length it is √d times the cosine. Larger is better.

    With --embeddings the search is exact. No index is built and the corpus is not held in memory: the vectors are read
    from disk for many questions at once. Under torchrun each rank searches a part of them. With --index a FAISS
    index is searched: for few questions at a time, in one process.

    The embeddings may be smaller than the retriever's vectors (`embed --dtype int8`, `--dim 128`). Questions stay
    float vectors. --rescore X.npy wins back most of what that loses, and --verify X.npy measures it.

    Vectors of any model can be searched: `fidtools convert` reads them from Parquet, pickles and FAISS, and
    --question-embeddings takes the place of the retriever.

    \b
      fidtools retrieve dev.jsonl --retriever retriever --embeddings p.npy \\
        -p passages.jsonl -o ranked.jsonl
      fidtools retrieve dev.jsonl --retriever retriever --embeddings small.npy \\
        --rescore p.npy --verify p.npy -p passages.jsonl -o ranked.jsonl
      fidtools retrieve dev.jsonl --question-embeddings q.npy --embeddings p.npy \\
        -p passages.jsonl -o ranked.jsonl
      fidtools retrieve … --within doc_id -k 20 | fidtools eval
    """
    _check_combination(retriever, question_embeddings, pooling, embeddings, index, within)
    if index is None:
        options.warn_unused("without --index", "index_parameters")
    elif rescore is None and verify is None:
        options.warn_unused("with --index", "max_memory")
    if rescore is None:
        options.warn_unused("without --rescore", "oversample")
    from fidtools.compute.ranks import main_rank_first, output_on_main_rank, ranks
    from fidtools.data.corpus import open_passages
    from fidtools.data.jsonl import write_lines
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.search.index_opener import IndexOpener
    from fidtools.search.question_vectors import stored_questions
    from fidtools.search.retrieval import retrieve

    model = None if retriever is None else _load(retriever, pooling, precision)
    side = stored_questions(question_embeddings, force) if question_embeddings is not None else _by_model(model)
    with main_rank_first():
        opener = IndexOpener(open_passages(passages), side.fingerprint, side.dim, force, int(max_memory * 1e9))
    corpus, verified = opener.refined(opener.open(embeddings, index, index_parameters), rescore, oversample, verify)
    ranked = retrieve(
        read_questions(questions), side.encode, corpus, k, within=within is not None, normalized=side.normalized
    )
    write_lines(output_on_main_rank(output), (question.to_json() for question in track(ranked, "questions")))
    if verified is not None and verify is not None and ranks().is_main:
        verified.report(k, verify)
    if model is not None:
        model.report_cuts(shared=True)


def _check_combination(
    retriever: str | None,
    question_embeddings: Path | None,
    pooling: str | None,
    embeddings: Path | None,
    index: Path | None,
    within: str | None,
) -> None:
    """Raise UsageError for options that exclude or need each other."""
    if (retriever is None) == (question_embeddings is None):
        raise UsageError("give exactly one of --retriever and --question-embeddings")
    if pooling is not None and retriever is None:
        raise UsageError("--pooling is for --retriever: the vectors of --question-embeddings are pooled already")
    options.check_vectors(embeddings, index)
    if index is not None and within is not None:
        raise UsageError("--within needs exact search", hint="give --embeddings instead of --index")


def _load(retriever: str, pooling: str | None, precision: Precision) -> Retriever:
    from fidtools.compute.device import Compute
    from fidtools.retriever.encoding import load_retriever

    changes: dict[str, Any] = {} if pooling is None else {"pooling": pooling}
    return load_retriever(retriever, compute=Compute.choose(precision), **changes)


def _by_model(model: Retriever | None) -> QuestionSide:
    from fidtools.search.question_vectors import QuestionSide
    from fidtools.search.retrieval import by_text

    assert model is not None, "checked: without --question-embeddings there is --retriever"
    return QuestionSide(by_text(model.encode_questions), model.dim, model.settings.normalize, model.fingerprint)

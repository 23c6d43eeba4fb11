"""fidtools generate-questions: questions with answers about passages, written by a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.commands._question_files import split_kind, write_questions
from fidtools.data.prompt_templates import CHAT_WRITING_PROMPT, WRITING_PROMPT, check_writing_template
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.data.corpus import Corpus
    from fidtools.data.journal import Journal
    from fidtools.language_models.model import LanguageModel
    from fidtools.language_models.question_writing import QuestionWriter
    from fidtools.language_models.round_trip import Rank, RoundTrip, Written

GROUP = 64
"""Attempts that are decoded and checked together."""
PLAIN = ("sample", "per_passage", "temperature", "max_tokens", "text_maxlength", "found_within", "seed", "chat")
"""Options that determine the result, as they are."""


class Shares(click.ParamType[Any]):
    """Three numbers, such as 80,10,10: the shares of train, dev and test."""

    name = "shares"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The shares as a tuple. Fails for anything but three numbers from 0 on, of which the first is above 0."""
        if isinstance(value, tuple):
            return value
        number = values.Number(min=0)
        found = tuple(number.convert(part.strip(), param, ctx) for part in str(value).split(","))
        if len(found) != len(("train", "dev", "test")) or not found[0] > 0:
            self.fail(f"{value!r}: expected three numbers, such as 80,10,10, the first above 0.", param, ctx)
        return found


@click.command("generate-questions")
@click.argument("passages", type=paths.input_file)
@click.option(
    "--model", required=True, type=paths.model, help="Causal language model: a folder, a name on the hub, or smollm."
)
@options.output
@click.option("--split", "folder", type=paths.OutputFolder(Path), help="Also write train, dev and test files here.")
@click.option(
    "--shares", type=Shares(), default="80,10,10", show_default=True, help="Shares of train, dev and test, by document."
)
@click.option("--dropped", type=paths.output_file, help="Write every dropped attempt here, with the reason.")
@click.option("--sample", type=values.positive, help="Passages drawn, spread over all documents.  [default: all]")
@click.option("--per-passage", type=values.positive, default=1, show_default=True, help="Attempts per passage.")
@click.option("--prompt", help="Template with the fields {title}, {text} and {sentence}.  [default: four examples]")
@click.option("--chat", is_flag=True, help="Put the prompt through the language model's chat template.")
@click.option(
    "--temperature", type=values.Number(min=0), default=0.0, show_default=True, help="Of sampling; 0 decodes greedily."
)
@click.option("--max-tokens", type=values.tokens, default=80, show_default=True, help="Tokens of a reply.")
@click.option(
    "--text-maxlength", type=values.tokens, default=250, show_default=True, help="Tokens read of a passage's text."
)
@click.option(
    "--found-within",
    type=values.positive,
    default=5,
    show_default=True,
    help="The passage must be among the first so many.",
)
@options.bm25_index
@click.option("--retriever", type=paths.model, help="Find passages with this retriever instead of BM25.")
@click.option("--embeddings", type=paths.EmbeddingsFile(Path), help="Embeddings of the passages, for --retriever.")
@click.option(
    "--check-likelihood", is_flag=True, help="The question must also be most likely, of these, from its own passage."
)
@options.seed
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(
    passages: str, model: str, output: str, folder: Path | None, shares: tuple[float, ...], **given: Any
) -> None:
    """Write questions with short answers about PASSAGES, and keep those that lead back to their passage.

    A question is kept when its answer stands in the passage and not in the question, when BM25 (or --retriever) finds
    the passage by it, and when no earlier one asks the same. The passage is the question's `gold`; `synthetic` is true.
    The field `split` divides the questions by document. Standard error counts what was dropped, and why.

    The template shows the model a passage's {text}, or one {sentence} of it, another one for each attempt. It must make
    the model reply with lines that begin with `Question:` and `Answer:`; it may end with one of these.

    \b
      fidtools generate-questions passages.jsonl --model smollm --sample 1000 -o questions.jsonl
      fidtools generate-questions passages.jsonl --model Qwen/Qwen3-4B-Instruct-2507 --chat \\
        --split questions/ --shares 60,20,20 -o questions.jsonl
    """
    given["prompt"] = given["prompt"] or (CHAT_WRITING_PROMPT if given["chat"] else WRITING_PROMPT)
    _check(given, output)
    from fidtools.compute.ranks import gather, main_rank_first, output_on_main_rank, ranks
    from fidtools.data.corpus import open_passages
    from fidtools.data.finished import FinishedRun
    from fidtools.data.journal import open_journal
    from fidtools.data.outputs import refuse_foreign

    if given["retriever"] is not None and ranks().world > 1:
        raise UsageError("--retriever works in one process", hint="leave it out: BM25 finds the passages")
    if folder is not None:
        refuse_foreign(folder, split_kind())
    with main_rank_first():
        corpus = open_passages(passages)
    settings = {name: given[name] for name in (*PLAIN, "prompt", "retriever", "check_likelihood")}
    settings |= {"model": model, "passages": corpus.text_sha256, "group": GROUP} | _versions(model, given)
    to = output_on_main_rank(output)
    run = FinishedRun(to, settings | {"split": folder and str(folder), "shares": shares, "dropped": given["dropped"]})
    with open_journal(to, settings, resume=given["resume"] and ranks().is_main) as journal:
        if gather(given["resume"] and not len(journal) and run.is_finished())[0]:
            return
        run.forget()
        written = _write(corpus, model, given, journal)
        write_questions(written, to, model, folder, shares, given)
        if ranks().is_main:
            run.keep([*filter(None, [given["dropped"]]), *(sorted(folder.glob("*.jsonl")) if folder else [])])


def _versions(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the models and vectors are, and the precision: a run is not continued with others of the same names."""
    from fidtools.compute.device import Compute
    from fidtools.data.embeddings import read_parts
    from fidtools.training.run_record import model_version

    parts = [] if given["embeddings"] is None else read_parts(given["embeddings"])
    named = {"model": model, "retriever": given["retriever"]}
    versions = {f"{what}_version": model_version(name) for what, name in named.items() if name is not None}
    precision = Compute.choose(given["precision"]).precision
    return versions | {"precision": precision, "embeddings": [part.meta for part in parts]}


def _check(given: dict[str, Any], output: str) -> None:
    """Raise UsageError for options that contradict each other. Imports nothing heavy."""
    check_writing_template(given["prompt"])
    if given["per_passage"] > 1 and not given["temperature"] and "{sentence}" not in given["prompt"]:
        problem = "--per-passage: every attempt at a passage would be the same"
        raise UsageError(problem, hint="add --temperature 0.7, or use {sentence} in --prompt")
    if (given["retriever"] is None) != (given["embeddings"] is None):
        raise UsageError("--retriever and --embeddings need each other")
    if given["resume"] and output == paths.STANDARD:
        raise UsageError("--resume continues a file", hint="name it with -o")


def _write(corpus: Corpus, model: str, given: dict[str, Any], journal: Journal) -> list[Written]:
    """All attempts in order, kept or not; those that the journal has are not repeated. Empty but on rank 0."""
    from fidtools.compute.ranks import distribute, gather
    from fidtools.data.batched import batched
    from fidtools.data.spread import spread_rows
    from fidtools.language_models.round_trip import Written, attempt_all
    from fidtools.logs import log, track

    loaded = _load(model, given)
    writer, round_trip = _writer(loaded, given), _round_trip(loaded, corpus, model, given)
    rows = spread_rows(corpus, given["seed"], given["sample"])
    total = -(-len(rows) * given["per_passage"] // GROUP)
    done = gather(len(journal))[0]
    if done:
        log.info("continuing after %d of %d groups of attempts", done, total)
    attempts = ((row, number) for number in range(given["per_passage"]) for row in rows)
    groups = batched(islice(attempts, done * GROUP, None), GROUP)

    def work(group: Sequence[tuple[int, int]]) -> list[Written]:
        return attempt_all(writer, round_trip, [(corpus[row], number) for row, number in group])

    for written in track(distribute(groups, work), "groups of attempts", total - done):
        journal.add([asdict(each) for each in written])
    writer.cuts.report("language model", "--text-maxlength, --tokens of chunk", shared=True)
    return [Written(**each) for group in journal for each in group]


def _load(model: str, given: dict[str, Any]) -> LanguageModel:
    from fidtools.compute.device import Compute
    from fidtools.compute.loading import is_causal
    from fidtools.language_models.continuation import check_continues
    from fidtools.language_models.model import load_language_model

    if not is_causal(model):
        hint = "give a causal language model, such as smollm"
        raise UsageError(f"{model}: an encoder-decoder, which continues no prompt", hint=hint)
    loaded = load_language_model(model, Compute.choose(given["precision"]))
    check_continues(loaded.network)
    return loaded


def _writer(model: LanguageModel, given: dict[str, Any]) -> QuestionWriter:
    from fidtools.language_models.continuation import Decoding
    from fidtools.language_models.question_writing import QuestionWriter, WritingPrompt

    prompt = WritingPrompt(given["prompt"], chat=given["chat"], text_maxlength=given["text_maxlength"])
    decoding = Decoding(given["max_tokens"], given["temperature"], given["seed"])
    return QuestionWriter(model, prompt, decoding, given["token_budget"])


def _round_trip(model: LanguageModel, corpus: Corpus, name: str, given: dict[str, Any]) -> RoundTrip:
    from fidtools.data.prompt_templates import DEFAULT_PROMPTS
    from fidtools.language_models.prompts import Prompt
    from fidtools.language_models.round_trip import RoundTrip
    from fidtools.language_models.scoring import LikelihoodScorer

    scorer = None
    if given["check_likelihood"]:
        prompt = Prompt("question", DEFAULT_PROMPTS["question"], text_maxlength=given["text_maxlength"])
        scorer = LikelihoodScorer(model, prompt, model_name=name)
    return RoundTrip(_finder(corpus, given), scorer)


def _finder(corpus: Corpus, given: dict[str, Any]) -> Rank:
    """What finds passages for questions: BM25, or the retriever that was given."""
    from fidtools.compute.ranks import main_rank_first

    k = given["found_within"]
    if given["retriever"] is None:
        from fidtools.sparse.engine import BM25Settings
        from fidtools.sparse.ranking import rank
        from fidtools.sparse.store import open_index

        with main_rank_first():
            engine = open_index(corpus, BM25Settings(), given["bm25_index"])
        return lambda questions: rank(questions, engine, corpus, k)
    from fidtools.compute.device import Compute
    from fidtools.retriever.encoding import load_retriever
    from fidtools.search.backends import ExactIndex
    from fidtools.search.retrieval import by_text, retrieve

    found = load_retriever(given["retriever"], compute=Compute.choose(given["precision"]))
    index = ExactIndex(given["embeddings"], corpus, found.fingerprint, dim=found.dim)
    normalized = found.settings.normalize
    encode = by_text(found.encode_questions)
    return lambda questions: retrieve(questions, encode, index, k, normalized=normalized)

"""fidtools validate: check data files before they are used."""

from __future__ import annotations

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values

SIMILARITY = 0.8


@click.command("validate")
@click.argument("files", type=paths.input_file, nargs=-1)
@click.option("-p", "--passages", type=paths.input_file, help="Corpus in which ids of passages and gold are looked up.")
@click.option("--against", type=paths.input_file, help="Test questions that must not occur in FILES, not even nearly.")
@click.option(
    "--similarity",
    type=values.Number(0.5, 1),
    default=SIMILARITY,
    show_default=True,
    help="Of --against: questions are similar from this share of common character trigrams on (Jaccard).",
)
@click.option("--retriever", type=paths.model, help="Count texts that this retriever cuts: a folder, or a hub name.")
@click.option("--tokenizer", type=paths.model, help="Instead: count texts that are longer than this model reads.")
@click.option("--max-length", type=values.tokens, help="Tokens that --tokenizer's model reads.  [default: the model's]")
@click.option("--strict", is_flag=True, help="Exit with code 1 if anything is found.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines, one per file, with examples.")
@options.output
@options.verbosity
def command(
    files: tuple[str, ...],
    passages: str | None,
    against: str | None,
    similarity: float,
    retriever: str | None,
    tokenizer: str | None,
    max_length: int | None,
    strict: bool,
    as_json: bool,
    output: str,
) -> None:
    """Check FILES of questions or passages (default: standard input) and count what may be wrong.

    Of questions: no answer, no passage with an answer, gold that is not in the list, repeated ids and questions, and
    with --against those that occur in the test set, also nearly. Of passages: empty and repeated texts, repeated ids.
    Lines that cannot be read are reported with their number, and reading goes on. Memory: about 50 bytes per record,
    10 KB per question of --against.

    \b
      fidtools validate passages.jsonl train.jsonl
      fidtools validate train.jsonl --against test.jsonl --strict
      fidtools validate passages.jsonl --tokenizer minilm --json
    """
    _check_combination(retriever, tokenizer, max_length, against)
    from fidtools.data.corpus import open_passages
    from fidtools.data.files import open_output
    from fidtools.errors import FidtoolsError
    from fidtools.logs import log
    from fidtools.validation.cuts import load_model
    from fidtools.validation.reporting import Checks, check_file, table

    corpus = None if passages is None else open_passages(passages)
    checks = Checks(load_model(retriever, tokenizer, max_length), corpus, against, similarity)
    unclean = []
    with open_output(output) as out:
        for file in files or ("-",):
            report = check_file(file, checks)
            for error in report.errors[:5]:
                log.warning("%s", error)
            if as_json:
                out.line(report.to_json())
            else:
                out.write("".join(f"{line}\n" for line in table(report)).encode(errors="surrogateescape"))
            unclean += [] if report.clean else [report.file]
    if strict and unclean:
        raise FidtoolsError(f"not clean: {', '.join(unclean)}")


def _check_combination(
    retriever: str | None, tokenizer: str | None, max_length: int | None, against: str | None
) -> None:
    """Raise UsageError for options that exclude or need each other, and name one without effect."""
    if retriever is not None and tokenizer is not None:
        raise click.UsageError("give only one of --retriever and --tokenizer")
    if max_length is not None and tokenizer is None:
        raise click.UsageError("--max-length needs --tokenizer")
    if against is None:
        options.warn_unused("without --against", "similarity")

"""fidtools search: one question, answered in the terminal."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _value_types as values
from fidtools.commands._sources import check_sources, sources, sources_from


@click.command("search")
@click.argument("question")
@sources
@click.option(
    "-k", "--k", "k", type=values.positive, default=5, show_default=True, help="Passages to find and to show."
)
@click.option("--read", is_flag=True, help="Answer the question too; --reader alone means the same.")
@click.option("--full", is_flag=True, help="Whole passages instead of the lines around the words.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, as retrieve and read write it.")
@options.verbosity
def command(question: str, k: int, read: bool, full: bool, as_json: bool, **given: Any) -> None:
    """Ask one QUESTION, without a file.

    Shows the passages with their scores and the words of the question. With --reader, also the answer, where it stands,
    and the reader's attention on each passage; in a terminal with colours, the attention on each word is its shade.

    \b
      fidtools search "where was Ada born?" --bm25 -p passages.jsonl
      fidtools search "where was Ada born?" --bm25 -p passages.jsonl --reader reader
      fidtools search "where was Ada born?" --bm25 -p passages.jsonl --json | jq .ctxs
    """
    check_sources(given)
    if not question.strip():
        raise click.UsageError("the question is empty")
    if read and given["reader"] is None:
        raise click.UsageError("--read needs --reader")
    from fidtools.data.files import open_output
    from fidtools.serving.opening import open_reader, open_searcher
    from fidtools.serving.presentation import as_line
    from fidtools.serving.searchers import Lookup
    from fidtools.serving.worker import Found

    searcher = open_searcher(sources_from(given))
    reader = None
    if given["reader"] is not None:
        reader = open_reader(given["reader"], given["precision"], given["token_budget"], given["n_context"])
    ((found,),) = searcher.rank([Lookup([question], k)])
    answers = iter(reader.readings([found])) if reader else iter(())
    result = Found(found, next((group[0] for group in answers), None))
    with open_output("-") as out:
        if as_json:
            out.line(as_line(result))
        else:
            from fidtools.serving.terminal import drawn

            out.write(drawn(result, full=full).encode("utf-8", "replace"))

"""fidtools collapse: passages ranked by their best parts."""

from __future__ import annotations

import click

from fidtools.commands import _options as options


@click.command("collapse")
@options.questions
@options.passages
@options.output
@options.top_k
@options.verbosity
def command(questions: str, passages: str, output: str, k: int) -> None:
    """Turn rankings of parts of passages into rankings of the passages.

    The vector of a passage of 100 words blurs what each of its sentences says. So cut the passages into parts with
    `fidtools chunk`, rank the parts, and let every passage be as good as its best part (MaxP). Its score is that of
    this part, named `best-part`. Fused with the ranking of whole passages it is usually better still.

    A part names its passage by `passage_id`, else by `doc_id`. PASSAGES are the whole passages. Rank several times more
    parts than the passages you want.

    \b
      fidtools chunk passages.jsonl --sentences --words 40 -o parts.jsonl
      fidtools embed parts.jsonl --retriever minilm -o parts.npy
      fidtools retrieve dev.jsonl --retriever minilm --embeddings parts.npy \\
        -p parts.jsonl -k 500 |
        fidtools collapse -p passages.jsonl -k 100 -o by-parts.jsonl
      fidtools fuse whole.jsonl by-parts.jsonl --method zscores -o ranked.jsonl
    """
    from fidtools.data.corpus import open_passages
    from fidtools.data.jsonl import write_lines
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.search.best_parts import collapse

    ranked = collapse(read_questions(questions), open_passages(passages), k)
    write_lines(output, (question.to_json() for question in track(ranked, "questions")))

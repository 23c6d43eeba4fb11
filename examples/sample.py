"""Take evenly spaced lines of a file: a sample of questions from all over a dataset that is ordered by article.

python examples/sample.py QUESTIONS N -o SAMPLE
"""

from __future__ import annotations

import click

from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions


@click.command()
@click.argument("questions", type=click.Path(exists=True))
@click.argument("n", type=click.IntRange(min=1))
@click.option("-o", "--output", required=True, help="The file to write.")
def command(questions: str, n: int, output: str) -> None:
    """Write N evenly spaced QUESTIONS; all of them where there are no more."""
    found = list(read_questions(questions))
    count = min(n, len(found))
    write_lines(output, (found[i * len(found) // count].to_json() for i in range(count)))


if __name__ == "__main__":
    command()

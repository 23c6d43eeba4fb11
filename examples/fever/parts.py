"""Split the training claims by page: four fifths for training, one fifth for validation, each with its own pages.

    python examples/fever/parts.py train.jsonl passages.jsonl OUT

writes fit.jsonl and choose.jsonl into OUT, and fit.passages.jsonl and choose.passages.jsonl with the pages that are
gold for a claim of that part. A model that sees a page only as a negative learns that it is one, whatever the claim
says; here every passage of a part is positive for some claim and negative for others. The validation part is about
pages that were not trained on, as the dev claims are.
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from zlib import crc32

from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Question

PARTS = 5


def chooses(question: Question) -> bool:
    """Whether a claim is in the validation part, which depends on its first gold page."""
    return crc32(question.extra["gold"][0].encode()) % PARTS == 0


def main(claims: str, passages: str, out: str) -> None:
    """Write both parts."""
    parts: dict[str, list[Question]] = {"fit": [], "choose": []}
    for question in read_questions(claims):
        parts["choose" if chooses(question) else "fit"].append(question)
    for name, part in parts.items():
        gold = set(chain.from_iterable(question.extra["gold"] for question in part))
        write_lines(Path(out) / f"{name}.jsonl", (question.to_json() for question in part))
        pages = (passage.to_json() for passage in read_passages(passages) if passage.id in gold)
        write_lines(Path(out) / f"{name}.passages.jsonl", pages)


if __name__ == "__main__":
    main(*sys.argv[1:])

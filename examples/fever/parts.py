"""Part the training claims by page: four fifths to fit, a fifth to choose by, each with the pages it is about.

    python examples/fever/parts.py train.jsonl passages.jsonl OUT

writes fit.jsonl and choose.jsonl into OUT, and fit.passages.jsonl and choose.passages.jsonl with the pages that are
gold for a claim of that part. A model that meets a page only as a wrong answer learns that it is one, whatever the
claim says; here every passage of a part is right for some claim and wrong for others. The part to choose by is about
pages that were not fitted, as the dev claims are.
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
    """Whether a claim is among the fifth to choose by: told from its first gold page."""
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

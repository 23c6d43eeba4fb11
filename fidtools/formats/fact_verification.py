"""Claims to be verified (FEVER, HoVer), and FEVER's pages of Wikipedia."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.record_parsing import parse_passage
from fidtools.data.records import Location, Passage
from fidtools.formats.detection import any_of, keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.json_records import Record, adapted, distinct, omit
from fidtools.logs import log
from fidtools.metrics.page_titles import page_title


def fever(record: Record) -> Record:
    """A FEVER or HoVer claim: the label as the answer, `gold` the pages of the evidence."""
    evidence = record.get("evidence") or []
    return _claim(record, distinct(page for group in evidence for _, _, page, _ in group if page is not None))


def hover(record: Record) -> Record:
    """A HoVer claim, whose supporting facts are [title, sentence]."""
    ours = _claim(record, distinct(title for title, _ in record["supporting_facts"]))
    return {**omit(ours, "uid"), "id": record["uid"]}


def _claim(record: Record, pages: list[Any]) -> Record:
    label = record.get("label")
    return record | ({"answers": [label]} if label else {}) | ({"gold": pages} if pages else {})


def read_fever_wiki(path: PathLike) -> Iterator[Passage]:
    """FEVER's wiki-pages: one page a line. Empty pages are skipped; `lines` (sentences with their links) is kept."""
    empty = 0
    for number, record in read_json(path):
        name = record.get("id")
        if not name:
            empty += 1
            continue
        yield parse_passage({**record, "title": page_title(str(name))}, Location(path, number))
    if empty:
        log.info("%s: skipped %d pages without id and text", path, empty)


def _is_claim_without_evidence(head: Head) -> bool:
    """A claim with a label whose list of evidence is empty, as some versions have it for "not enough info"."""
    return head.has("claim", "label") and "evidence" in head.list_keys and "evidence.item" not in head.keys


def _is_unlabelled_claim(head: Head) -> bool:
    """FEVER's unlabelled claims have an id and a claim, nothing else."""
    return head.keys == {"id", "claim"}


FORMATS = (
    Format(
        "fever",
        "questions",
        "FEVER claims",
        detect=any_of(keys("claim", "evidence.item.item.item"), _is_claim_without_evidence, _is_unlabelled_claim),
        read=adapted(fever),
    ),
    Format("hover", "questions", "HoVer claims", detect=keys("claim", "supporting_facts"), read=adapted(hover)),
    Format("fever-wiki", "passages", "FEVER's wiki-pages", detect=keys("id", "text", "lines"), read=read_fever_wiki),
)

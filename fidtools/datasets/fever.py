"""FEVER (Thorne et al. 2018): claims, the pages of Wikipedia, and the pages that support or refute each claim."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fidtools.data.jsonl import bounded_lines, parse_line
from fidtools.data.records import Passage, Question
from fidtools.datasets.dataset import Dataset
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.writer import DatasetWriter
from fidtools.formats.archives import members
from fidtools.formats.fact_verification import fever
from fidtools.formats.json_records import adapted
from fidtools.metrics.page_titles import page_title, without_escapes

PAGES = "fever-wiki-pages.zip"
CLAIMS = {"train": "fever-train.jsonl", "dev": "fever-paper_dev.jsonl", "test": "fever-paper_test.jsonl"}
SOURCES = (*CLAIMS.values(), PAGES)
PUBLISHED = {"train": 145_449, "dev": 9_999, "test": 9_999}


def write_fever(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write claims as questions, labels as answers, one passage a page, and the evidence's pages as `gold`."""
    for split, name in CLAIMS.items():
        writer.write_questions(split, claims(downloads.path(name)))
    writer.write_passages(pages(downloads.path(PAGES)))


def claims(path: Path) -> Iterator[Question]:
    """The claims of a file: `answers` holds the label, `gold` the ids of all pages of evidence.

    `evidence` is as published, alternative sets of [annotation, evidence, page, sentence], without duplicate sets.
    A claim without evidence (NOT ENOUGH INFO) has empty lists; an unlabelled one has no answers.
    """
    for claim in adapted(fever)(path):
        sets = [_evidence_set(group) for group in claim.extra.get("evidence") or []]
        distinct = {
            tuple((page, sentence) for _, _, page, sentence in found): found for found in reversed(sets) if found
        }
        evidence = list(reversed(distinct.values()))
        gold = list(dict.fromkeys(page for found in evidence for _, _, page, _ in found))
        claim.question = clean(claim.question)
        label = {"label": claim.answers[0]} if claim.answers else {}
        claim.extra = label | {"gold": gold, "evidence": evidence}
        yield claim


def _evidence_set(group: list[list[Any]]) -> list[list[Any]]:
    return [[*who, page_id(page), sentence] for *who, page, sentence in group if page is not None]


def pages(archive: Path) -> Iterator[Passage]:
    """The pages of all `wiki-*.jsonl`, one passage each; pages without id or text are skipped."""
    for name, stream in members(archive, "wiki-*.jsonl"):
        for number, line in enumerate(bounded_lines(stream, f"{archive}/{name}"), 1):
            page = parse_line(line, f"{archive}/{name}", number)
            if text := clean(page["text"]):
                identifier = page_id(page["id"])
                yield Passage(id=identifier, title=page_title(identifier), text=text)


def page_id(name: str) -> str:
    """A page's name in NFC, as claims and pages compose accented letters differently."""
    return unicodedata.normalize("NFC", name)


def clean(text: str) -> str:
    """Text in NFC, with real brackets and colons, and single spaces."""
    return " ".join(unicodedata.normalize("NFC", without_escapes(text)).split())


DATASETS = {"fever": Dataset(SOURCES, ("fever", "fever-wiki"), write_fever, PUBLISHED, folder_bytes=3_800_000_000)}

"""From one format to another: nothing that both can hold is lost, and what is lost is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.files import PathLike
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, UsageError
from fidtools.formats.lookup import named, reading
from fidtools.formats.registry import EVERYTHING, Format
from fidtools.logs import log, track

OWN = {"questions": "jsonl", "passages": "passages", "qrels": "trec-qrels"}


def convert(
    source: PathLike,
    target: PathLike,
    from_name: str | None = None,
    to_name: str | None = None,
    score: str | None = None,
    top: int | None = None,
) -> None:
    """Write `source` in another format (default: our own). `score` names the score to rank and write questions by;
    `top` keeps so many passages of each and leaves out questions with fewer.

    Raises UsageError for an impossible pair, DataError for bad input.
    """
    old = reading(source, from_name)
    if old.read is None or old.holds == "measures":
        raise UsageError(f"{old.name} is read by no other format")
    if old.holds == "embeddings":
        _write_embeddings(old, source, target, to_name)
        return
    new = named(to_name or OWN[old.holds])
    if new.write is None or new.holds != old.holds:
        raise UsageError(
            f"{old.name} holds {old.holds}; {new.name} cannot be written from that", hint=_targets(old.holds)
        )
    records: Iterable[Any] = track(old.read(source), old.holds)
    if score or top:
        if old.holds != "questions":
            raise UsageError("--score and --top are for questions")
        records = selected(records, score, top)
    lost: Counter[str] = Counter()
    new.write(_watched(records, new.keeps, lost, source), target)
    log.info("%s: %s → %s", source, old.name, new.name)
    for name, count in sorted(lost.items()):
        log.warning("not kept by %s: %s (in %d %s)", new.name, name, count, old.holds)


def _targets(holds: str) -> str:
    from fidtools.formats.registry import FORMATS

    names = [f.name for f in FORMATS.values() if f.holds == holds and f.write is not None]
    return f"{holds} are written as {', '.join(names)}"


def _watched(records: Iterable[Any], keeps: frozenset[str], lost: Counter[str], source: PathLike) -> Iterator[Any]:
    """The records as they pass, counting the fields that the writer will not keep. Raises DataError for no records."""
    empty = True
    for record in records:
        empty = False
        if keeps != EVERYTHING:
            lost.update(fields(record) - keeps)
        yield record
    if empty:
        raise DataError("nothing in it", path=source)


def fields(record: Any) -> set[str]:
    """The names of the fields a record has, "ctxs.text" for one of its passages."""
    if not isinstance(record, Question | Passage):
        return set()
    names = {name for name, value in record.to_json().items() if name != "ctxs" and value not in ("", [])}
    for passage in (record.ctxs or ()) if isinstance(record, Question) else ():
        names |= {f"ctxs.{name}" for name, value in passage.to_json().items() if value != ""}
    return names


def selected(questions: Iterable[Question], score: str | None, top: int | None) -> Iterator[Question]:
    """The questions ranked by the named score, with their first `top` passages; those with fewer are left out."""
    few = 0
    for question in questions:
        if score:
            question.rank_by(score)
        if top and len(question.ctxs or ()) < top:
            few += 1
            continue
        question.ctxs = question.ctxs[:top] if question.ctxs else question.ctxs
        yield question
    if few:
        log.warning("%d questions with fewer than %d passages were left out", few, top or 0)


def _write_embeddings(old: Format, source: PathLike, target: PathLike, to_name: str | None) -> None:
    if to_name not in (None, "npy"):
        raise UsageError("embeddings are written as .npy with their ids", hint="leave out --to")
    blocks = old.read(source) if old.read else iter(())
    first = next(blocks, None)
    if first is None or not len(first[1]):
        raise DataError("no embeddings in it", path=source)
    meta = {"source": str(source), "format": old.name}
    dtype = "float16" if first[1].dtype == "float16" else "float32"
    with stream_embeddings(target, first[1].shape[1], dtype, meta) as writer:
        writer.append(*first)
        for ids, rows in blocks:
            writer.append(ids, rows)
    log.info("%s: %s → .npy, .ids, .json", source, old.name)

"""Conversion from one format to another. Fields that the target format cannot hold are reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fidtools.data.distinct_ids import distinct_passages
from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.files import PathLike
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, UsageError, show_path
from fidtools.formats.beir import write_beir
from fidtools.formats.exports import EXPORTS, export
from fidtools.formats.foreign import question_lines_hint
from fidtools.formats.format import ALL_FIELDS, Format, Kind
from fidtools.formats.lookup import format_named, input_format, read_all
from fidtools.formats.qrels import judgements_of
from fidtools.formats.registry import FORMATS
from fidtools.logs import log, track

QRELS_FIELDS = frozenset({"id", "gold"})  # of questions
DEFAULT_TARGETS = {"questions": "jsonl", "passages": "passages", "qrels": "trec-qrels"}


def convert_file(
    source: PathLike,
    target: PathLike,
    from_name: str | None = None,
    to_name: str | None = None,
    score: str | None = None,
    top: int | None = None,
    passages: PathLike | None = None,
) -> None:
    """Write `source` in another format (default: our own). `score` names the score to rank and write questions by;
    `top` keeps so many passages of each question and skips questions with fewer. `passages` is the corpus that a BEIR
    folder is to hold, in any format, or that was embedded where `source` are embeddings for a database (EXPORTS).

    Raises UsageError for an impossible pair, DataError for bad input.
    """
    if to_name in EXPORTS:
        if from_name or score or top:
            raise UsageError(f"--from, --score and --top do not apply to --to {to_name}")
        export(source, target, to_name, passages)
        return
    if Path(source).suffix == ".npy":
        raise UsageError("embeddings (.npy) are converted for databases", hint=f"--to {', '.join(EXPORTS)}")
    old = input_format(source, from_name)
    if old.kind == "embeddings":
        _write_embeddings(old, source, target, to_name)
        return
    new = _target_format(old, to_name, source)
    if passages is not None and new.name != "beir":
        raise UsageError(f"--passages applies to --to beir, {', '.join(EXPORTS)} only")
    if (score or top) and old.kind != "questions":
        raise UsageError("--score and --top apply to questions only")
    records: Iterable[Any] = track(old.read(source) if old.read else (), old.kind)
    if score or top:
        records = selected(records, score, top)
    lost: Counter[str] = Counter()
    records = _counting_lost_fields(records, new, lost, source, old.kind)
    if passages is not None:
        write_beir(records, target, corpus=distinct_passages(read_all(passages, "passages"), passages))
    elif new.write is not None:
        new.write(judgements_of(records) if old.kind != new.kind else records, target)
    log.info("%s: %s → %s", source, old.name, new.name)
    if lost:
        listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(lost.items()))
        log.warning("fields that %s does not keep, with the number of %s: %s", new.name, old.kind, listed)


def _target_format(old: Format, name: str | None, source: PathLike) -> Format:
    """The format to write the records of `old` in. Raises UsageError when they cannot be written in it."""
    if old.kind == "measures":
        raise UsageError(f"{old.name} cannot be converted")
    new = format_named(name or DEFAULT_TARGETS[old.kind], EXPORTS)
    from_gold = old.kind == "questions" and new.kind == "qrels"
    if new.write is None or not (new.kind == old.kind or from_gold):
        targets = ", ".join(f.name for f in FORMATS.values() if f.kind == old.kind and f.write is not None)
        problem = f"{show_path(source)}: contains {old.kind} ({old.name}) and cannot be written as {new.name}"
        hint = question_lines_hint(old.name, source, new.kind) or f"formats for {old.kind}: {targets}"
        raise UsageError(problem, hint=hint)
    return new


def _counting_lost_fields(
    records: Iterable[Any], target: Format, lost: Counter[str], source: PathLike, kind: Kind
) -> Iterator[Any]:
    """The records unchanged, while fields that `target` does not keep are counted in `lost`.

    Raises DataError when there are no records.
    """
    kept = target.fields_kept if kind == target.kind else QRELS_FIELDS
    empty = True
    for record in records:
        empty = False
        if kept != ALL_FIELDS:
            lost.update(field_names(record) - kept)
        elif target.fields_lost:
            lost.update(field_names(record) & target.fields_lost)
        yield record
    if empty:
        raise DataError(f"contains no {kind}", path=source)


def field_names(record: Any) -> set[str]:
    """The names of the fields a record has, "ctxs.text" for a field of its passages."""
    if not isinstance(record, Question | Passage):
        return set()
    names = {name for name, value in record.to_json().items() if name != "ctxs" and value not in ("", [])}
    for passage in (record.ctxs or ()) if isinstance(record, Question) else ():
        names |= {f"ctxs.{name}" for name, value in passage.to_json().items() if value != ""}
    return names


def selected(questions: Iterable[Question], score: str | None, top: int | None) -> Iterator[Question]:
    """The questions ranked by the named score, with their first `top` passages; those with fewer are skipped."""
    skipped = 0
    for question in questions:
        if score:
            question.rank_by(score)
        if top and len(question.ctxs or ()) < top:
            skipped += 1
            continue
        question.ctxs = question.ctxs[:top] if question.ctxs else question.ctxs
        yield question
    if skipped:
        log.warning("skipped %d questions with fewer than %d passages", skipped, top or 0)


def _write_embeddings(old: Format, source: PathLike, target: PathLike, to_name: str | None) -> None:
    if to_name not in (None, "npy"):
        raise UsageError("embeddings are always written as .npy with their ids", hint="omit --to")
    blocks = old.read(source) if old.read else iter(())
    first = next(blocks, None)
    if first is None or not len(first[1]):
        raise DataError("contains no embeddings", path=source)
    if not first[1].shape[1]:
        raise DataError("contains vectors of length 0, which nothing can search", path=source)
    meta = {"source": show_path(source), "format": old.name}
    dtype = "float16" if first[1].dtype == "float16" else "float32"
    with stream_embeddings(target, first[1].shape[1], dtype, meta) as writer:
        writer.append(*first)
        for ids, rows in blocks:
            if rows.shape[1] != first[1].shape[1]:
                problem = f"has a vector of length {rows.shape[1]} after those of length {first[1].shape[1]}"
                raise DataError(problem, path=source, field="id", value=ids[0])
            writer.append(ids, rows)
    log.info("%s: %s → .npy, .ids, .json", source, old.name)

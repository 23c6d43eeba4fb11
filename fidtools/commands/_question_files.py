"""The files of generate-questions: what was kept, what was dropped, and the splits."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fidtools.errors import DataError, FidtoolsError

if TYPE_CHECKING:
    from fidtools.data.outputs import FolderKind
    from fidtools.language_models.round_trip import Written

LONGEST = 1 << 20  # bytes of a question's line


def write_questions(
    written: list[Written],
    output: str,
    model: str,
    folder: Path | None,
    shares: tuple[float, ...],
    given: dict[str, Any],
) -> None:
    """Write the questions that are kept, and report how many were dropped and why. Only rank 0 has any."""
    from fidtools.compute.ranks import ranks
    from fidtools.data.jsonl import write_lines
    from fidtools.data.spread import split_by_document
    from fidtools.language_models.round_trip import drop_duplicates

    if not ranks().is_main:
        return
    drop_duplicates(written)
    kept = [each for each in written if each.dropped is None]
    _report(written, kept)
    if given["dropped"]:
        write_lines(given["dropped"], (w.to_json() for w in written if w.dropped is not None))
    if not kept:
        hint = "read what was written with --dropped, try another --prompt or --model, or a larger --found-within"
        raise FidtoolsError("no question was kept", hint=hint)
    splits = split_by_document([each.document for each in kept], shares, given["seed"])
    lines = [each.to_question(model, split).to_json() for each, split in zip(kept, splits, strict=True)]
    if folder is not None:
        _write_splits(folder, lines, shares)
    write_lines(output, lines)


def _report(written: Sequence[Written], kept: Sequence[Written]) -> None:
    from fidtools.logs import log

    share = 100 * len(kept) / max(1, len(written))
    documents = len({each.document for each in kept})
    log.info("%d attempts, %d questions kept (%.1f%%), of %d documents", len(written), len(kept), share, documents)
    reasons = Counter(each.dropped for each in written if each.dropped is not None)
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        log.info("  dropped %6d: %s", count, reason)


def _write_splits(folder: Path, lines: Sequence[dict[str, Any]], shares: tuple[float, ...]) -> None:
    """Raises DataError when a split that has a share gets no question."""
    from fidtools.data.files import atomic_folder
    from fidtools.data.jsonl import write_lines
    from fidtools.data.spread import SPLITS

    files = {split: f"{split}.jsonl" for split, share in zip(SPLITS, shares, strict=True) if share > 0}
    for split in files:
        if not any(line["split"] == split for line in lines):
            hint = "change --shares and continue with --resume, or draw more passages, with a doc_id"
            raise DataError(f"no question is left for {split}: the questions are of too few documents", hint=hint)
    with atomic_folder(folder, split_kind()) as partial:
        for split, name in files.items():
            write_lines(partial / name, (line for line in lines if line["split"] == split))


def split_kind() -> FolderKind:
    """What the folder of --split holds."""
    from fidtools.data.outputs import FolderKind
    from fidtools.data.spread import SPLITS

    names = tuple(f"{split}.jsonl" for split in SPLITS)
    return FolderKind("questions of generate-questions", (), names, has_force=False, owns=_is_generated)


def _is_generated(path: Path) -> bool:
    """Whether the first line of a file is a question that a model has written: `train.jsonl` may be the user's own."""
    import orjson

    with path.open("rb") as file, contextlib.suppress(orjson.JSONDecodeError):
        first = orjson.loads(file.readline(LONGEST))
        return isinstance(first, dict) and "generated_by" in first
    return False

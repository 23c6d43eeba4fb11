"""The journal of an unfinished run: what it has kept outlives a disk that is full when the run is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fidtools.data.journal import Journal, open_journal


def kept(output: Path, resume: bool = True) -> list[object]:
    with pytest.raises(KeyboardInterrupt), open_journal(output, {"a": 1}, resume=resume) as journal:
        values = list(journal)
        if not resume:
            journal.add([1, "é"])
            journal.add({"b": None})
        raise KeyboardInterrupt
    return values


def test_values_of_an_unfinished_run_are_taken_over(tmp_path: Path) -> None:
    kept(tmp_path / "out", resume=False)
    with open(tmp_path / ".out.unfinished", "ab") as file:
        file.write(b'["torn')
    assert kept(tmp_path / "out") == [[1, "é"], {"b": None}]
    assert kept(tmp_path / "out") == [[1, "é"], {"b": None}]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when the run is resumed nor when it adds a value, half of which is written."""
    kept(tmp_path / "out", resume=False)

    def full(self: Journal, value: object) -> None:
        with open(tmp_path / ".out.unfinished", "ab") as out:
            out.write(b'["half')
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Journal, "add", full)
        patch.setattr(Path, "write_bytes", full)
        with open_journal(tmp_path / "out", {"a": 1}, resume=True) as journal:
            journal.add("more")
    assert kept(tmp_path / "out") == [[1, "é"], {"b": None}]

"""The journal of an unfinished run: what it has kept outlives a disk that is full when the run is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fidtools.data.journal import Journal, open_journal
from fidtools.errors import FidtoolsError, UsageError


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


@pytest.mark.parametrize("damage", [b'{"id": 1}\n', b"[]\n", b"7\n", b"[1, 2]\n", b"null\n", b"\x00\x00", b"\xff\n"])
def test_what_follows_a_damaged_line_is_computed_again(tmp_path: Path, damage: bytes) -> None:
    kept(tmp_path / "out", resume=False)
    with open(tmp_path / ".out.unfinished", "ab") as file:
        file.write(damage + b'["after"]\n')
    assert kept(tmp_path / "out") == [[1, "é"], {"b": None}]


@pytest.mark.parametrize(
    "content", [b"my notes\n", b'{"id": 1}\n', b"[]\n", b"[5]\n", b"[null]\n", b"\xef\xbb\xbf[{}]\n"]
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_that_is_no_journal_is_not_touched(tmp_path: Path, content: bytes, resume: bool) -> None:
    (tmp_path / ".out.unfinished").write_bytes(content)
    message = ".out.unfinished already exists and is no unfinished run"
    with pytest.raises(UsageError, match=message), open_journal(tmp_path / "out", {"a": 1}, resume=resume):
        pass
    assert (tmp_path / ".out.unfinished").read_bytes() == content


def test_settings_without_values_are_nothing_to_continue(tmp_path: Path) -> None:
    (tmp_path / ".out.unfinished").write_bytes(b'[{"a":2}]\n')
    assert kept(tmp_path / "out") == []


def test_a_journal_that_is_removed_in_the_run_loses_nothing(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out", {"a": 1}, resume=True) as journal:
        journal.add(1)
        (tmp_path / ".out.unfinished").unlink()
        journal.add(2)
        assert list(journal) == [1, 2]


@pytest.mark.parametrize("change", ["", '[{"a":1}]\n', '[{"a":1}]\n[1]\n[2]\n[9]\n'])
def test_a_journal_that_is_changed_in_the_run_is_an_error(tmp_path: Path, change: str) -> None:
    with pytest.raises(FidtoolsError, match="another program has changed it"):  # noqa: SIM117
        with open_journal(tmp_path / "out", {"a": 1}, resume=True) as journal:
            journal.add(1)
            (tmp_path / ".out.unfinished").write_text(change)
            journal.add(2)
            list(journal)

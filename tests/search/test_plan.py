"""plan: sizes worked out by hand from given rates, and the command with measured ones."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
import torch

from fidtools import cli, planning
from fidtools.planning import Rates, Work, stages

RATES = Rates(encoder=1e4, search=1e9, bm25=1e3, disk_write=1e8, disk_read=2e8)
WORK = Work(passages=1_000_000, questions=2000, dim=100, n_context=50, reader_examples=100, retriever_examples=10)


def test_stages_by_hand() -> None:
    found = {stage.name: stage for stage in stages(WORK, RATES)}
    assert found["bm25 (index)"].seconds == 1000
    assert found["embed"].seconds == pytest.approx(1_000_000 * 200 / 1e4)
    assert found["embed"].disk == 1_000_000 * 100 * 4
    assert found["retrieve"].seconds == pytest.approx(1_000_000 * 2000 * 100 / 1e9)
    assert found["retrieve"].memory == 1e9 + 8e6
    assert found["score-attn"].seconds == pytest.approx(2000 * 50 * 200 / 1e4)
    assert found["train-reader"].seconds == pytest.approx(3 * 100 * 50 * 200 / 1e4)
    assert found["retrieve"].disk == 2000 * 100 * 760


def test_no_more_passages_are_read_than_there_are() -> None:
    few = {stage.name: stage for stage in stages(replace(WORK, k=20), RATES)}
    assert few["train-reader"].seconds == pytest.approx(3 * 100 * 20 * 200 / 1e4)
    tiny = {stage.name: stage for stage in stages(replace(WORK, passages=10), RATES)}
    assert tiny["retrieve"].disk == 2000 * 10 * 760
    assert tiny["score-attn"].seconds == pytest.approx(2000 * 10 * 200 / 1e4)


def test_the_disk_bounds_what_it_must() -> None:
    """Few questions: reading 0.4 GB at 0.2 GB/s takes longer than the products."""
    few = Work(passages=1_000_000, questions=2, dim=100)
    assert {s.name: s.seconds for s in stages(few, RATES)}["retrieve"] == pytest.approx(2.0)


def test_ranks_share_what_can_be_shared() -> None:
    one = {s.name: s.seconds for s in stages(WORK, RATES)}
    four = {s.name: s.seconds for s in stages(replace(WORK, ranks=4), RATES)}
    for name in ("embed", "retrieve", "score-attn", "train-reader", "train-retriever"):
        assert four[name] == pytest.approx(one[name] / 4)
    assert four["bm25 (index)"] == one["bm25 (index)"]


def test_the_command(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr(planning, "SECONDS_PER_RATE", 0.0)
    sizes = ["--passages", "1000", "--questions", "10", "--dim", "64", "--layers", "2", "-q"]
    assert cli.run(["plan", *sizes, "--json"]) == 0
    lines = [orjson.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["name"] for line in lines][-2:] == ["embed", "retrieve"]
    assert all(line["seconds"] > 0 for line in lines)
    assert cli.run(["plan", *sizes]) == 0
    assert capfdbinary.readouterr().out.startswith(b"stage ")


def test_a_place_that_is_no_folder_is_named(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    nowhere, file = tmp_path / "nowhere", tmp_path / "file"
    assert cli.run(["plan", "--folder", str(nowhere)]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"fidtools: --folder {nowhere}: no such folder"
    assert cli.run(["plan", "--folder", str(file)]) == 1
    assert capsys.readouterr().err.splitlines()[0] == f"fidtools: {file}: not a directory"


def test_long_texts_are_timed_one_at_a_time_and_without_a_square_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []

    def once(work):
        seen.append((int(work()), torch.backends.mha.get_fastpath_enabled()))
        return 6.0

    monkeypatch.setattr(planning, "rate", once)
    for tokens, timed in ((200, 800), (2048, 2048), (3000, 3000)):
        assert planning._encoder_rate(Work(1, 1, dim=8, layers=3, tokens=tokens)) == 4.0
        assert seen.pop() == (timed, False)
    assert torch.backends.mha.get_fastpath_enabled()

"""benchmarks/gpu.sh checks itself where there is no GPU."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import SECTIONS
from benchmarks.gpu.rows import BEGIN, END, read_rows, table, with_table

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
PAGE = SCRIPT.with_suffix(".md")


@pytest.mark.slow
def test_dry_run(tmp_path: Path) -> None:
    """Every section gives rows, none fails, and the page keeps its table of a GPU."""
    before = PAGE.read_text()
    environment = os.environ | {"DRY": "1", "OUT": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    rows = read_rows(tmp_path / "rows.jsonl")
    assert {row["section"] for row in rows} == set(SECTIONS) - {"data"}
    assert not [row for row in rows if "FAILED" in row.get("note", "")]
    assert (tmp_path / "gpu.md").read_text() == table(rows)
    assert done.stdout.endswith(table(rows))
    assert PAGE.read_text() == before


def test_a_failed_section_leaves_the_others(tmp_path: Path) -> None:
    """A section that is out of time is a row, and the script's exit code."""
    environment = os.environ | {"DRY": "1", "OUT": str(tmp_path), "SECONDS_IN_ALL": "4"}
    done = subprocess.run([SCRIPT, "read"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = read_rows(tmp_path / "rows.jsonl")
    assert [(row["section"], row["name"]) for row in rows] == [(s, "not run") for s in ("device", "data", "read")]


def test_table_of_a_run_that_was_cut_short(tmp_path: Path) -> None:
    lines = [
        '{"section": "device", "name": "H100", "tflops": 800.0, "note": "torch 2"}',
        '{"section": "score", "name": "encoder", "rate": 80.5, "unit": "questions/s", "tflops": 400.0, "memory": 3.25}',
        '{"section": "search", "name": "faiss", "note": "not installed"}',
        '{"section": "search", "name": "fidto',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    made = table(read_rows(tmp_path / "rows.jsonl"))
    assert made.splitlines()[0] == "**H100**, 800 TFLOP/s in bf16 products; torch 2"
    assert made.splitlines()[-2:] == [
        "| score | encoder | 80.50 questions/s | 50.0% | 3.2 GB |  |",
        "| search | faiss |  |  |  | not installed |",
    ]
    assert with_table(f"above\n{BEGIN}old\n{END}below\n", made) == f"above\n{BEGIN}{made}{END}below\n"

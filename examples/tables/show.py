"""Print a table of the paper with the numbers of our runs beside the paper's: show.py TABLE RUNS."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import click

ROWS = Path(__file__).with_name("paper.json")
STARTS = {"bert": "BERT", "bm25": "BM25"}
Metrics = dict[str, float]


def measured(path: Path) -> Metrics | None:
    """The metrics of one evaluation of a run, in the paper's units; `best` is the iteration of highest dev EM."""
    if "best" in path.parts:
        path = Path(*(best_iteration(path) if part == "best" else part for part in path.parts))
    if not path.exists():
        return None
    metrics = json.loads(path.read_bytes())["files"][0]["metrics"]
    return {name: entry["value"] for name, entry in metrics.items()}


def best_iteration(path: Path) -> str:
    """The iteration of a run that answers the most dev questions; "best" itself when there is none."""
    run = Path(*path.parts[: path.parts.index("best")])
    scored = [(metrics["EM"], dev.parent.name) for dev in run.glob("*/dev.json") if (metrics := measured(dev))]
    return max(scored, default=(0.0, "best"))[1]


def ours(metric: str, runs: list[Metrics]) -> str:
    """The mean over the seeds, with its standard deviation; a dash without a run."""
    values = [run[metric] for run in runs if metric in run]
    if not values:
        return "–"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def table(number: str, folder: Path, rows: list[dict[str, Any]]) -> list[list[str]]:
    """The table's lines, header first: for every metric the paper's value and ours."""
    rows = [row for row in rows if row["table"] == number]
    if number == "1":
        rows += other_datasets(folder, {row["run"].partition("-")[0] for row in rows})
    names = list(dict.fromkeys(name for row in rows for name in row["paper"]))
    lines = [["", *(f"{name} {whose}" for name in names for whose in ("paper", "ours"))]]
    for row in rows:
        found = [measured(seed / row["run"]) for seed in sorted(folder.glob("seed-*"))]
        runs = [metrics for metrics in found if metrics is not None]
        cells = [(f"{row['paper'][n]:.1f}" if n in row["paper"] else "", ours(n, runs)) for n in names]
        lines.append([row["row"], *(cell for pair in cells for cell in pair)])
    return lines


def other_datasets(folder: Path, known: set[str]) -> list[dict[str, Any]]:
    """Rows of Table 1 for datasets that the paper does not have: runs called NAME-START, one row per iteration."""
    runs = {dev.relative_to(seed) for seed in folder.glob("seed-*") for dev in seed.glob("*-b*/[0-9]*/dev.json")}
    return [
        {"row": f"{name}, from {STARTS[start]}, iteration {run.parts[1]}", "run": str(run), "paper": {}}
        for run in sorted(runs, key=lambda run: (run.parts[0], int(run.parts[1])))
        for name, _, start in [run.parts[0].rpartition("-")]
        if name not in known and start in STARTS
    ]


def markdown(lines: list[list[str]]) -> str:
    """Lines as a Markdown table with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *shown[1:]])


@click.command()
@click.argument("number")
@click.argument("runs", type=click.Path(path_type=Path))
def command(number: str, runs: Path) -> None:
    """Print table NUMBER of the paper beside the runs in RUNS/seed-*."""
    rows = json.loads(ROWS.read_bytes())
    if number not in {row["table"] for row in rows}:
        raise click.UsageError(f"no table {number}; there are {', '.join(dict.fromkeys(r['table'] for r in rows))}")
    click.echo(markdown(table(number, runs, rows)))


if __name__ == "__main__":
    command()

"""Print what the retrievers of teachers.sh find, beside their start and BM25: teachers.py RUNS TEACHER…"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import click
from show import markdown

Comparison = dict[str, Any]


def comparisons(first: Path, seeds: list[Path], k: str) -> dict[str, Comparison]:
    """By metric: `fidtools compare` of a ranking with the mean over the seeds of another."""
    files = [str(first), ",".join(map(str, seeds))]
    done = subprocess.run(["fidtools", "compare", *files, "--k", k, "--json"], check=True, stdout=subprocess.PIPE)
    return {entry["metric"]: entry for entry in json.loads(done.stdout)["comparisons"]}


def shown(values: list[float]) -> str:
    """The mean over the seeds, and the standard deviation of several."""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def with_p(entry: Comparison) -> str:
    """The mean with the p-value of the randomisation test against the other ranking."""
    return f"{shown(entry['b_means'])} (p {entry['p_randomisation']:.4f})"


@click.command()
@click.argument("runs", type=click.Path(path_type=Path))
@click.argument("teachers", nargs=-1, required=True)
@click.option("--k", default="1,5,20", show_default=True, help="Cut-offs.")
def command(runs: Path, teachers: tuple[str, ...], k: str) -> None:
    """Alone, with p against the untouched start; fused with BM25, with p against BM25. Means over RUNS/seed-*."""
    start, bm25 = runs / "start/test.jsonl", runs / "bm25/test.jsonl"
    untouched, both = comparisons(bm25, [start], k), comparisons(bm25, [runs / "start/test.fused.jsonl"], k)
    alone = [name for name in untouched if "R@" in name and name != f"gold-R@{k.split(',')[-1]}"]
    fused = [f"R@{cut}" for cut in k.split(",")[:2]]
    lines = [["teacher", "seeds", *alone, *(f"fused {name}" for name in fused)]]
    lines.append(["BM25", "", *(shown(untouched[name]["a_means"]) for name in alone), *("" for _ in fused)])
    lines.append(["untouched", "", *(shown(untouched[n]["b_means"]) for n in alone), *(with_p(both[n]) for n in fused)])
    for teacher in teachers:
        seeds = sorted(runs.glob(f"seed-*/{teacher}/test.fused.jsonl"))
        if not seeds:
            continue
        found = comparisons(start, [path.with_name("test.jsonl") for path in seeds], k)
        with_bm25 = comparisons(bm25, seeds, k)
        cells = [*(with_p(found[name]) for name in alone), *(with_p(with_bm25[name]) for name in fused)]
        lines.append([teacher, str(len(seeds)), *cells])
    click.echo(markdown(lines))


if __name__ == "__main__":
    command()

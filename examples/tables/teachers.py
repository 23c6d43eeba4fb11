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
@click.option("--seeds", default="0", show_default=True, help="Seeds, with spaces between them.")
def command(runs: Path, teachers: tuple[str, ...], k: str, seeds: str) -> None:
    """Alone, with p against the untouched start; fused with BM25, with p against BM25. Means over RUNS/seed-…."""
    start, bm25 = runs / "start/test.jsonl", runs / "bm25/test.jsonl"
    untouched, both = comparisons(bm25, [start], k), comparisons(bm25, [runs / "start/test.fused.jsonl"], k)
    few = k.split(",")[:2]
    alone = [name for name in untouched if name.startswith("R@") or name in {f"gold-R@{cut}" for cut in few}]
    fused = [f"R@{cut}" for cut in few]
    lines = [["teacher", "seeds", *alone, *(f"fused {name}" for name in fused)]]
    lines.append(["BM25", "", *(shown(untouched[name]["a_means"]) for name in alone), *("" for _ in fused)])
    lines.append(["untouched", "", *(shown(untouched[n]["b_means"]) for n in alone), *(with_p(both[n]) for n in fused)])
    for teacher in teachers:
        files = [path for seed in seeds.split() if (path := runs / f"seed-{seed}/{teacher}/test.fused.jsonl").exists()]
        if not files:
            continue
        found = comparisons(start, [path.with_name("test.jsonl") for path in files], k)
        with_bm25 = comparisons(bm25, files, k)
        cells = [*(with_p(found[name]) for name in alone), *(with_p(with_bm25[name]) for name in fused)]
        lines.append([teacher, str(len(files)), *cells])
    click.echo(markdown(lines))


if __name__ == "__main__":
    command()

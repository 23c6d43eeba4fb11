"""Print Table 5 or 6 of the paper beside our runs: variants.py TABLE RUNS RUN VARIANT…"""

from __future__ import annotations

from pathlib import Path

import click
from show import markdown, measured, ours

METRICS = ("R@1", "R@5", "R@20", "R@100")
PAPER = {
    "mse": (46.5, 61.2, 73.9),
    "margin-1": (60.3, 73.6, 82.7),
    "margin-0.2": (60.3, 73.5, 82.6),
    "margin-0.1": (60.2, 73.5, 82.6),
    "kl": (64.7, 76.4, 84.3),
    "attention": (64.7, 76.4, 84.3),
    "attention-max-token": (61.2, 72.5, 81.0),
    "attention-outputs": (63.5, 75.3, 83.1),
    "attention-last-layers": (64.1, 75.7, 83.8),
    "attention-max-layer": (63.9, 75.5, 83.7),
    "attention-max-head": (64.2, 76.1, 83.9),
}
"""R@5, R@20, R@100 on NaturalQuestions' dev set."""


@click.command()
@click.argument("table")
@click.argument("runs", type=click.Path(path_type=Path))
@click.argument("run")
@click.argument("variants", nargs=-1)
def command(table: str, runs: Path, run: str, variants: tuple[str, ...]) -> None:
    """Means and standard deviations over RUNS/seed-*/RUN/VARIANT/dev.json."""
    lines = [[f"Table {table}", *METRICS, "paper (NQ): R@5", "R@20", "R@100"]]
    for name in variants:
        found = [measured(seed / run / name / "dev.json") for seed in sorted(runs.glob("seed-*"))]
        there = [metrics for metrics in found if metrics is not None]
        paper = [f"{value:.1f}" for value in PAPER[name]] if name in PAPER else ["", "", ""]
        lines.append([name, *(ours(metric, there) for metric in METRICS), *paper])
    click.echo(markdown(lines))


if __name__ == "__main__":
    command()

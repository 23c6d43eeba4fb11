"""`fidtools eval`: how good passages, answers and rankings are."""

from __future__ import annotations

from typing import Any

import click

from fidtools import options


class Cutoffs(click.ParamType[list[int]]):
    """Whole numbers separated by commas."""

    name = "k,k,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The numbers, rising, each once."""
        try:
            ks = sorted({int(part) for part in str(value).split(",")})
        except ValueError:
            ks = [0]
        if ks[0] < 1:
            self.fail(f"{value!r}: whole numbers from 1, separated by commas, as in 1,5,20,100", param, ctx)
        return ks


@click.command("eval")
@click.argument("files", type=click.Path(), nargs=-1)
@click.option("--k", "ks", type=Cutoffs(), default="1,5,20,100", show_default=True, help="Cut-offs of R@k.")
@click.option("-m", "--metric", "names", multiple=True, help="Only this metric (repeatable): R@20, gold-R@5, EM, F1 …")
@click.option("--profile", type=click.Choice(["nq", "triviaqa", "squad"]), default="nq", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON document instead of a table.")
@options.output
@options.talk
def command(
    files: tuple[str, ...], ks: list[int], names: tuple[str, ...], profile: str, as_json: bool, output: str
) -> None:
    """Score what the lines of FILES (default: standard input) allow.

    R@k asks whether an answer stands in the first k passages (DPR's answer match), gold-R@k whether a gold passage is
    among them; EM and F1 judge the predictions. Every number comes with its n and a 95% bootstrap interval.

    \b
      fidtools eval retrieved.jsonl
      fidtools eval bm25.jsonl dense.jsonl --k 1,5,20
      fidtools retrieve … | fidtools eval --json | jq '.files[0].metrics["R@5"].value'
    """
    from fidtools.evaluation import catalogue, report
    from fidtools.evaluation.scores import collect
    from fidtools.records import read_questions
    from fidtools.talk import track

    settings = catalogue.Settings(profile=profile)
    systems = []
    for file in files or ("-",):
        scores = collect(track(read_questions(file), "questions"), catalogue.measures(settings, names, ks))
        systems.append(report.System.of(file, "", scores))
    report.show(systems, output, as_json)

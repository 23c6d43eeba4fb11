"""fidtools report: a page about a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.errors import UsageError, show_path
from fidtools.evaluation.profiles import DEFAULT, PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fidtools.report.building import Report
    from fidtools.report.conditions import Condition

GZIP = b"\x1f\x8b"
NOT_APPLIED = (
    "--regex",
    "--empty-matches",
    "--gold",
    "--qrels",
    "--questions",
    "--passages",
    "--prediction",
    "--rank-by",
)
"""Options of `eval` that change numbers and that `report` does not have."""


@click.command("report")
@click.argument("paths", nargs=-1, required=True, metavar="RUN | FILE …", type=paths.InputFile(Path, folders=True))
@click.option(
    "--split",
    type=click.Choice(["test", "dev"]),
    default="test",
    show_default=True,
    help="Questions of RUN to report on.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    type=paths.InputFile(Path),
    help="Also compare with this file (repeatable), e.g. BM25's passages.",
)
@click.option("--metric", help="Metric by which questions are won and lost.  [default: EM, else R@20]")
@click.option(
    "--profile",
    type=click.Choice([*PROFILES]),
    help="Metrics and normaliser, as in eval.  [default: RUN's, else nq]",
)
@click.option("--sample", type=values.Count(min=2), help="Report on this many questions, the same ones of every file.")
@click.option(
    "--passages",
    "n_passages",
    type=values.positive,
    default=20,
    show_default=True,
    help="Passages to show a question.",
)
@click.option(
    "--attention", type=values.non_negative, default=0, show_default=True, help="Questions to show attention maps of."
)
@click.option("--reader", type=paths.model, help="Reader for --attention.  [default: each iteration's own]")
@click.option(
    "--attention-passages",
    type=values.positive,
    default=10,
    show_default=True,
    help="Passages a question with attention maps, from the top.",
)
@click.option(
    "--assets",
    type=paths.OutputFolder(Path, files=True),
    help="Folder for the questions' data, beside the page instead of in it.",
)
@click.option(
    "--fail-if", "conditions", multiple=True, metavar="METRIC<NUMBER", help="Exit with 1 if so (repeatable): 'R@20<80'."
)
@click.option("--json", "as_json", is_flag=True, help="The numbers as a JSON document instead of a page.")
@options.output_among(".html", ".html.gz", "report.json")
@options.verbosity
def command(
    paths: tuple[Path, ...],
    split: str,
    baselines: tuple[Path, ...],
    profile: str | None,
    assets: Path | None,
    conditions: tuple[str, ...],
    as_json: bool,
    output: str,
    **chosen: Any,
) -> None:
    """Report on the folder of a run (the repository's bin/iterate.sh), or on FILES of questions with passages and
    predictions.

    The page is one file that needs no network. It shows recall at every k and exact match with bootstrap intervals and
    paired tests, what the teacher taught, how the models learned, what ran, and every question: won, lost or never
    found, with its passages side by side. The first system is the start that the others are compared with; a condition
    of --fail-if is about the last one.

    \b
      fidtools report runs/toy -o report.html
      fidtools report bm25.jsonl dense.jsonl -o report.html
      fidtools report runs/nq --attention 50 --fail-if 'R@20<80' -o report.html
      fidtools report runs/nq --json | jq .helped_most
    """
    from fidtools.data.files import open_output
    from fidtools.data.jsonl import write_json
    from fidtools.errors import FidtoolsError
    from fidtools.report.building import Choices, build_report
    from fidtools.report.conditions import parse_condition
    from fidtools.report.page import render
    from fidtools.report.sources import find_sources

    parsed = [parse_condition(text) for text in conditions]
    beside = _place_of_assets(assets, output, as_json)
    _refuse_other_files(Path(output), as_json)
    sources = find_sources(paths, split, baselines)
    choices = Choices(profile=_profile(profile, sources.settings), assets=assets is not None, **chosen)
    report = build_report(sources, choices, with_questions=not as_json)
    failed = _failed(parsed, report)
    if as_json:
        write_json(output, report.numbers)
    else:
        if assets is not None:
            _write_assets(assets, report)
        with open_output(output) as out:
            out.write(render(report.numbers, report.blocks, beside).encode("utf-8", "replace"))
    if failed:
        raise FidtoolsError("\n".join(failed))


def _failed(conditions: Sequence[Condition], report: Report) -> list[str]:
    """Which conditions hold, in sentences. Warns of shares in the place of percentages."""
    from fidtools.report.conditions import failures, warn_of_fractions

    measured = _measured(report)
    failed = failures(conditions, {name: metric["value"] for name, metric in measured.items()}, report.last["name"])
    warn_of_fractions(conditions, [name for name, metric in measured.items() if metric["unit"] == "%"])
    return failed


def _refuse_other_files(output: Path, as_json: bool) -> None:
    """Raise UsageError where a page would replace a file that is no page."""
    from fidtools.data.outputs import is_special

    if not as_json and not is_special(output) and output.is_file() and output.stat().st_size:
        with output.open("rb") as file:
            start = file.read(15)
        if not start.lower().startswith((b"<!doctype html", GZIP)):
            raise UsageError(
                f"-o {show_path(output)}: exists, and is no report", hint="give another name, or remove it"
            )


def _measured(report: Report) -> dict[str, dict[str, Any]]:
    """The last system's metrics, and R@k for every k."""
    curves = report.last["recall"].items()
    at_every_k = {f"{prefix}{k}": {"value": value, "unit": "%"} for prefix, curve in curves for k, value, *_ in curve}
    return {**report.last["metrics"], **at_every_k}


def _profile(wanted: str | None, settings: dict[str, str]) -> str:
    """The profile: `wanted`, else that of the run's `eval`. Warns of options of it that a report does not apply."""
    from fidtools.logs import log

    options = settings.get("EVAL_OPTIONS", "")
    given = {word.partition("=")[0] for word in options.split()}
    if unused := [name for name in NOT_APPLIED if name in given]:
        log.warning("EVAL_OPTIONS of the run: report does not apply %s: its numbers may differ", ", ".join(unused))
    found = re.search(r"--profile[ =](\w+)", options)
    return wanted or (found[1] if found and found[1] in PROFILES else DEFAULT)


def _place_of_assets(assets: Path | None, output: str, as_json: bool) -> str | None:
    """The folder of assets as seen from the page."""
    import os
    from urllib.parse import quote

    if assets is None:
        return None
    if output == "-" or as_json:
        raise click.UsageError("--assets belongs to a page in a file: give -o report.html")
    return quote(Path(os.path.relpath(assets, Path(output).parent)).as_posix())


def _write_assets(assets: Path, report: Report) -> None:
    from fidtools.report.blocks import write_assets

    write_assets(assets, report.blocks)

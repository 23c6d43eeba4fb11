"""`fidtools compare`: significance tests between systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.commands.eval import chosen_settings, metric_options, name_unused_by_metrics

if TYPE_CHECKING:
    from fidtools.evaluation.completion import Inputs
    from fidtools.evaluation.family import MetricSettings
    from fidtools.evaluation.paired import Result
    from fidtools.evaluation.scores import Scores

COLUMNS = ("metric", "a", "b", "n", "A", "B", "difference", "low", "high", "p_bootstrap", "p_randomisation")


@click.command("compare")
@click.argument("systems", type=paths.name, nargs=-1, required=True, metavar="A B …")
@metric_options
@click.option(
    "--resamples",
    type=values.Count(min=100, most=10**7),
    default=10_000,
    show_default=True,
    help="Samples of the bootstrap and of the randomization test.",
)
@click.option("--changes", type=paths.output_file, help="Write the questions won and lost to this file, as JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON document instead of a table.")
@options.output
@options.verbosity
def command(
    systems: tuple[str, ...],
    ks: list[int],
    names: tuple[str, ...],
    resamples: int,
    changes: str | None,
    as_json: bool,
    output: str,
    **chosen: Any,
) -> None:
    """Test differences between systems.

    Every system is compared with the first, question by question. A system is a file, or the comma-separated files of
    several runs (seeds), whose values are averaged per question. The interval and p_bootstrap come from resampling
    questions with replacement, p_randomisation from swapping the two systems' values at random (two-sided). BLEU and
    METEOR are recomputed for every sample.

    \b
      fidtools compare bm25.jsonl dense.jsonl
      fidtools compare a.seed1.jsonl,a.seed2.jsonl b.seed1.jsonl,b.seed2.jsonl -m EM \\
        --changes changes.jsonl
    """
    from dataclasses import asdict

    from fidtools.data.jsonl import write_json, write_lines
    from fidtools.evaluation.comparable import other_labels
    from fidtools.evaluation.paired import SystemRuns, compare_runs
    from fidtools.logs import log

    if len(systems) < 2:
        raise click.UsageError("at least two systems are needed: fidtools compare A B")
    name_unused_by_metrics(names)
    files_of = [_files(system) for system in systems]  # all are checked before the first is read
    settings, inputs = chosen_settings(**chosen)
    measured = []
    for system, files in zip(systems, files_of, strict=True):
        measured.append(SystemRuns(system, [_scores(file, settings, inputs, names, ks) for file in files]))
    if problem := other_labels([(system.name, scores) for system in measured for scores in system.runs]):
        log.warning("%s", problem)
    results, changed = compare_runs(measured, resamples)
    if changes:
        write_lines(changes, (asdict(change) for change in changed))
    if as_json:
        write_json(output, {"resamples": resamples, "comparisons": [result.to_json() for result in results]})
    else:
        _show(results, resamples, output)


def _files(system: str) -> list[str]:
    """The files of a system. Fails for an empty name, as of a comma too many, and for a file that is not there."""
    files = [system] if Path(system).exists() else system.split(",")
    for file in files:
        if not file.strip():
            raise click.UsageError(f"{system!r} names an empty file: a system is FILE, or FILE,FILE for several runs")
        paths.input_data.check(file, None, None)
    return files


def _scores(file: str, settings: MetricSettings, inputs: Inputs, names: tuple[str, ...], ks: list[int]) -> Scores:
    """The scores of one file, with its notes logged."""
    from fidtools.evaluation.comparable import check_judged
    from fidtools.evaluation.registry import measures
    from fidtools.evaluation.scores import collect
    from fidtools.evaluation.system import explain
    from fidtools.logs import log, track

    scores = collect(track(inputs.read(file)[1], "questions"), measures(settings, names, ks), gold=settings.gold)
    scores.notes += inputs.notes()
    check_judged(scores.ids, settings.gold.qrels, file)
    explain(scores, file, every=bool(names))
    for note in scores.notes:
        log.info("%s: %s", file, note)
    return scores


def _show(results: list[Result], resamples: int, output: str) -> None:
    import sys

    from fidtools.console import on_terminal
    from fidtools.data.files import STANDARD, open_output

    if output == STANDARD and on_terminal(sys.stdout):
        from fidtools.console import console
        from fidtools.evaluation.comparisons import comparison_tables

        terminal = console()
        for table in comparison_tables(results, resamples, terminal.width):
            terminal.print(table)
        return
    with open_output(output) as out:
        out.write(("\t".join([*COLUMNS, "wins", "losses", "ties", "unit"]) + "\n").encode())
        for result in results:
            out.write(("\t".join(_cells(result)) + "\n").encode(errors="surrogateescape"))


def _cells(result: Result) -> list[str]:
    from fidtools.evaluation.reports import cell
    from fidtools.evaluation.significance import p_value

    test = result.comparison
    means = [sum(values) / len(values) for values in (result.a_means, result.b_means)]
    numbers = [*means, test.difference, *test.interval]
    p_values = [p_value(p) for p in (test.p_bootstrap, test.p_randomisation)]
    counts = [str(count) for count in (test.wins, test.losses, test.ties)]
    return [
        result.metric,
        cell(result.a),
        cell(result.b),
        str(result.n),
        *(f"{x:.4f}" for x in numbers),
        *p_values,
        *counts,
        result.unit,
    ]

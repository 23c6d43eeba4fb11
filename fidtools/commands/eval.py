"""`fidtools eval`: how good passages, answers and rankings are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fidtools.commands import _options as options

if TYPE_CHECKING:
    from fidtools.data.records import Question
    from fidtools.evaluation.completion import Inputs
    from fidtools.evaluation.registry import MetricSettings

F = TypeVar("F", bound=Callable[..., Any])
PROFILES = ("nq", "triviaqa", "squad", "narrativeqa", "fever", "kilt")


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


MEASURING = (
    click.option("--k", "ks", type=Cutoffs(), default="1,5,20,100", show_default=True, help="Cut-offs of R@k …"),
    click.option(
        "-m", "--metric", "names", multiple=True, help="Only this (repeatable): R@20, gold-R@k, EM, nDCG@10 …"
    ),
    click.option(
        "--profile", type=click.Choice(PROFILES), default="nq", show_default=True, help="Metrics and normaliser."
    ),
    click.option("--questions", type=click.Path(), help="Answers and gold for files that lack them, by question id."),
    click.option("--passages", type=click.Path(), help="The corpus, for passages without text."),
    click.option("--qrels", type=click.Path(), help="Relevance judgements, instead of a field of the lines."),
    click.option(
        "--gold", default="gold", show_default=True, help="The field with the ids (or grades) of gold passages."
    ),
    click.option("--prediction", metavar="FIELD", help="The field with the predictions.  [default: prediction]"),
    click.option("--rank-by", metavar="NAME", help="Sort the passages by this score (score, or a name under scores)."),
    click.option("--regex", is_flag=True, help="Answers are regular expressions, as CuratedTREC's."),
    click.option(
        "--empty-matches", is_flag=True, help="Find answers without a letter everywhere, as the reference does."
    ),
    click.option("--from", "from_name", metavar="FORMAT", help="The format of FILES.  [default: told from each]"),
)


def measuring(function: F) -> F:
    """The options on what is measured and how, which `compare` has too."""
    for option in reversed(MEASURING):
        function = option(function)
    return function


@click.command("eval")
@click.argument("files", type=click.Path(), nargs=-1)
@measuring
@click.option("--agreement", nargs=2, metavar="A B", help="Instead: how score B ranks the passages of score A.")
@click.option("--by", metavar="FIELD", help="Also for every value of this field of the lines.")
@click.option("--train", type=click.Path(), help="Also by overlap with these training questions.")
@click.option("--per-question", type=click.Path(), help="Write every question's values there, as JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document instead of a table.")
@options.output
@options.verbosity
def command(
    files: tuple[str, ...],
    ks: list[int],
    names: tuple[str, ...],
    agreement: tuple[str, str] | None,
    by: str | None,
    train: str | None,
    per_question: str | None,
    as_json: bool,
    output: str,
    **chosen: Any,
) -> None:
    """Score what the lines of FILES (default: standard input) allow.

    R@k asks whether an answer stands in the first k passages (DPR's answer match), gold-R@k whether a gold passage is
    among them; EM and F1 judge the predictions. Every number comes with its n and a 95% bootstrap interval, on a
    terminal as a table, in a pipe as tab-separated values. FILES may be in any format that fidtools convert knows.

    \b
      fidtools eval retrieved.jsonl
      fidtools eval bm25.jsonl dense.jsonl --k 1,5,20
      fidtools eval run.trec --qrels qrels.txt -m nDCG@10 -m AP
      fidtools eval final_output.txt --questions test.jsonl --profile triviaqa
      fidtools retrieve … | fidtools eval --json | jq '.files[0].metrics["R@5"].value'
    """
    from fidtools.evaluation import registry as catalogue
    from fidtools.evaluation import tables as report
    from fidtools.evaluation.scores import collect
    from fidtools.logs import track

    if by and train:
        raise click.UsageError("--by and --train are two ways to break the numbers down: one at a time")
    settings, inputs = chosen_settings(**chosen)
    group = _group(by, train, settings)
    systems = []
    for file in files or ("-",):
        wanted = catalogue.agreements(*agreement, ks) if agreement else catalogue.measures(settings, names, ks)
        format_name, lines = inputs.read(file)
        scores = collect(track(lines, "questions"), wanted, group)
        scores.notes += inputs.notes()
        systems.append(report.System.of(file, format_name, scores, every=bool(names or agreement)))
    if per_question:
        report.write_per_question(systems, per_question)
    report.show(systems, output, as_json)


def chosen_settings(
    profile: str, gold: str, qrels: str | None, regex: bool, empty_matches: bool, **reading: Any
) -> tuple[MetricSettings, Inputs]:
    """How metrics are counted, and how files are read, from the options of `measuring`."""
    from fidtools.evaluation.completion import Inputs
    from fidtools.evaluation.measures import Gold
    from fidtools.evaluation.registry import MetricSettings
    from fidtools.formats.lookup import read_all
    from fidtools.formats.qrels import qrels_by_question

    judged = qrels_by_question(read_all(qrels, "qrels"), qrels) if qrels else None
    settings = MetricSettings(profile, Gold(gold, judged), "regex" if regex else "tokens", empty_matches)
    return settings, Inputs(reading.pop("from_name"), **reading)


def _group(by: str | None, train: str | None, settings: MetricSettings) -> Callable[[Question], str]:
    from fidtools.evaluation.overlap import overlap_with
    from fidtools.evaluation.registry import PROFILES
    from fidtools.formats.lookup import read_all

    if train:
        return overlap_with(read_all(train, "questions"), PROFILES[settings.profile].normalize)
    if by:
        return lambda question: str(question.to_json().get(by, "(none)"))
    return lambda question: ""

"""`fidtools eval`: measure retrieved passages, answers and rankings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.evaluation.profiles import DEFAULT, PROFILES

if TYPE_CHECKING:
    from fidtools.data.records import Question
    from fidtools.evaluation.completion import Inputs
    from fidtools.evaluation.family import MetricSettings

NO_GROUP = "(none)"  # of a question without the field of --by, or with null there
NOT_IN_AGREEMENT = ("names", "qrels", "gold", "prediction", "regex", "empty_matches")
OF_METRICS = {"ks": "--k", "qrels": "--qrels", "gold": "--gold", "prediction": "--prediction"} | {
    "regex": "--regex",
    "empty_matches": "--empty-matches",
}
"""Options by parameter that only some metrics depend on."""


class Cutoffs(click.ParamType[list[int]]):
    """Positive integers separated by commas."""

    name = "k,k,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The integers, ascending, each once."""
        from fidtools.data.number_text import is_count

        parts = [part.strip() for part in str(value).split(",")]
        ks = sorted({int(part) if is_count(part) else 0 for part in parts})
        if ks[0] < 1 or ks[-1] > values.MOST:
            self.fail(f"{value!r}: must be positive integers separated by commas, as in 1,5,20,100", param, ctx)
        return ks


metric_options: options.Option = options.stacked(
    click.option("--k", "ks", type=Cutoffs(), default="1,5,20,100", show_default=True, help="Cut-offs of metrics @k."),
    click.option(
        "-m",
        "--metric",
        "names",
        multiple=True,
        help="Metric, such as R@20, gold-R@k, EM, nDCG@10 (repeatable).  [default: the profile's]",
    ),
    click.option(
        "--profile",
        type=click.Choice(list(PROFILES)),
        default=DEFAULT,
        show_default=True,
        help="Metrics and answer normalization of a data set.",
    ),
    click.option(
        "--questions",
        type=paths.input_data,
        help="Answers and gold by question id, used instead of those of FILES.",
    ),
    click.option("--passages", type=paths.input_file, help="Corpus, for passages without text, by passage id."),
    click.option("--qrels", type=paths.input_data, help="Relevance judgements, used instead of the gold field."),
    click.option(
        "--gold",
        default="gold",
        show_default=True,
        help="Field with the ids (or grades) of relevant passages.",
    ),
    click.option("--prediction", metavar="FIELD", help="Field with the predictions.  [default: prediction]"),
    click.option("--rank-by", metavar="NAME", help="Sort the passages by this score: score, or a name under scores."),
    click.option("--regex", is_flag=True, help="Answers are regular expressions (CuratedTREC), for R@k and EM."),
    click.option(
        "--empty-matches",
        is_flag=True,
        help="Match as DPR does: an empty answer is in every passage, and text without spaces is one word.",
    ),
    click.option("--from", "from_name", metavar="FORMAT", help="Input format.  [default: detected for each file]"),
)
"""The options on what is measured and how, which `compare` has too."""


@click.command("eval")
@click.argument("files", type=paths.input_data, nargs=-1)
@metric_options
@click.option("--agreement", nargs=2, metavar="A B", help="Report rank agreement of scores A and B instead of metrics.")
@click.option("--by", metavar="FIELD", help="Break the metrics down by the values of this field.")
@click.option("--train", type=paths.input_data, help="Break the metrics down by overlap with these training questions.")
@click.option("--per-question", type=paths.output_file, help="Write the values of every question here, as JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON document instead of a table.")
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
    """Evaluate passages, answers and rankings.

    Metrics are computed where FILES (default: standard input) have the fields that they need. R@k is the share of
    questions with an answer in the text of the first k passages (DPR's answer match), gold-R@k the share with a gold
    passage among them; EM and F1 measure the predictions. Every number is reported with its n and a 95% bootstrap
    interval: as a table on a terminal, as tab-separated values in a pipe. FILES may be in any format of fidtools
    convert.

    \b
      fidtools eval retrieved.jsonl
      fidtools eval bm25.jsonl dense.jsonl --k 1,5,20
      fidtools eval run.trec --qrels qrels.txt -m nDCG@10 -m AP
      fidtools eval final_output.txt --questions test.jsonl --profile triviaqa
      fidtools retrieve … | fidtools eval --json | jq '.files[0].metrics["R@5"].value'
    """
    _name_unused(agreement, names, train)
    from fidtools.evaluation.comparable import check_judged
    from fidtools.evaluation.registry import agreements, measures
    from fidtools.evaluation.reports import write_per_question, write_report
    from fidtools.evaluation.scores import collect
    from fidtools.evaluation.system import System
    from fidtools.logs import track

    settings, inputs = chosen_settings(**chosen)
    group = _group(by, train, settings)
    systems = []
    for file in files or ("-",):
        wanted = agreements(*agreement, ks) if agreement else measures(settings, names, ks)
        format_name, lines = inputs.read(file)
        scores = collect(track(lines, "questions"), wanted, group, settings.gold)
        scores.notes += inputs.notes()
        if by and {*scores.groups} == {NO_GROUP}:
            scores.notes.append(f"no question has the field {by} of --by")
        check_judged(scores.ids, settings.gold.qrels, file)
        systems.append(System.of(file, format_name, scores, every=bool(names or agreement)))
    if per_question:
        write_per_question(systems, per_question)
    write_report(systems, output, as_json)


def _name_unused(agreement: tuple[str, str] | None, names: tuple[str, ...], train: str | None) -> None:
    if agreement:
        options.warn_unused("with --agreement", *NOT_IN_AGREEMENT, *(() if train else ("profile",)))
    else:
        name_unused_by_metrics(names, () if train else ("profile",))


def name_unused_by_metrics(names: tuple[str, ...], of_profile: tuple[str, ...] = ("profile",)) -> None:
    """Warn of options of `metric_options` that change none of the metrics."""
    from fidtools.evaluation.registry import options_of

    given = click.get_current_context().params
    used = options_of(names, PROFILES[given["profile"]])
    idle = [name for name, flag in OF_METRICS.items() if flag not in used]
    options.warn_unused("on these metrics", *idle, *(of_profile if names and "--profile" not in used else ()))
    for name, other in (("qrels", "gold"), ("regex", "empty_matches")):
        if given[name] and OF_METRICS[name] in used:
            options.warn_unused(f"with {OF_METRICS[name]}", other)


def chosen_settings(
    profile: str, gold: str, qrels: str | None, regex: bool, empty_matches: bool, **reading: Any
) -> tuple[MetricSettings, Inputs]:
    """How metrics are computed and how files are read, from the options of `metric_options`."""
    from fidtools.evaluation.completion import Inputs
    from fidtools.evaluation.family import MetricSettings
    from fidtools.evaluation.gold import Gold
    from fidtools.formats.lookup import read_all
    from fidtools.formats.qrels import qrels_by_question

    judged = qrels_by_question(read_all(qrels, "qrels"), qrels) if qrels else None
    settings = MetricSettings(profile, Gold(gold, judged), "regex" if regex else "tokens", empty_matches)
    return settings, Inputs(reading.pop("from_name"), **reading)


def _group(by: str | None, train: str | None, settings: MetricSettings) -> Callable[[Question], str]:
    from fidtools.evaluation.overlap import overlap_with
    from fidtools.formats.lookup import read_all

    if by and train:
        raise click.UsageError("give only one of --by and --train")
    if train:
        return overlap_with(read_all(train, "questions"), settings.profile.normalize)
    if by:
        return lambda question: _group_name(question.to_json().get(by))
    return lambda question: ""


def _group_name(value: Any) -> str:
    """A field's value as the name of a group: a string that is not empty as it is, all else as JSON."""
    if value is None:
        return NO_GROUP
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

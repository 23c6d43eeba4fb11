"""fidtools teacher-report: diagnose a teacher's scores before training on them."""

from __future__ import annotations

import click

from fidtools.commands import _options as options
from fidtools.commands import _value_types as values
from fidtools.commands._target_options import preset, preset_values, probabilities, source_passage
from fidtools.commands._training_options import fields_as_flags
from fidtools.training.source_passage import SourcePassage


@click.command("teacher-report")
@options.questions
@click.option(
    "--teacher", default="attention", show_default=True, help="Scores to diagnose: NAME, or NAME=0.7,NAME=0.3."
)
@click.option("--n-passages", type=values.positive, help="Passages per question, from the top.  [default: all]")
@click.option(
    "--teacher-temperature", type=values.above_zero, default=1.0, show_default=True, help="Temperature of the scores."
)
@preset
@probabilities
@source_passage
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.output
@options.verbosity
def command(
    questions: str,
    teacher: str,
    n_passages: int | None,
    teacher_temperature: float,
    preset: str | None,
    probabilities: bool,
    source_passage: SourcePassage,
    as_json: bool,
    output: str,
) -> None:
    """Diagnose the scores of QUESTIONS' passages (`ctxs`) before a retriever is trained on them.

    Reports the effective number of passages of the target distribution, how well the scores separate passages with an
    answer (and `gold` ones) from the others (AUC), their correlation with passage length and previous rank, and the
    temperature under which the target agrees best with the labels. Warns of scores that are no better than chance: a
    retriever trained on them would get worse. Give it the options of the training that follows.

    \b
      fidtools teacher-report train.scored.jsonl
      fidtools teacher-report train.scored.jsonl --teacher attention=0.7,bm25=0.3 --json
    """
    from fidtools.data.files import open_output
    from fidtools.errors import show_path
    from fidtools.logs import log
    from fidtools.retriever.teacher_report import problems, report, table
    from fidtools.training.targets import parse_teacher

    of_preset = preset_values(preset)
    temperature = of_preset.get("teacher_temperature", teacher_temperature)
    likelihoods = of_preset.get("probabilities", probabilities)
    with fields_as_flags():
        found = report(questions, parse_teacher(teacher), n_passages, temperature, likelihoods, source_passage)
    for problem in problems(found):
        log.warning("%s: %s", show_path(questions), problem)
    with open_output(output) as out:
        if as_json:
            out.line(found.to_json())
        else:
            rows = list(table(found))
            width = max(len(name) for name, _ in rows)
            out.write("".join(f"{name:<{width}}  {value}\n" for name, value in rows).encode())

"""Options that shape a retriever's targets: training and the report on a teacher have them both."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands._options import is_given
from fidtools.retriever.run_config import PRESETS, RetrieverRun
from fidtools.training.source_passage import SOURCE_PASSAGES

preset = click.option(
    "--preset", type=click.Choice(list(PRESETS)), help="Temperatures of a paper that learns from likelihoods."
)
probabilities = click.option(
    "--probabilities", is_flag=True, help="Learn from exp(score): the scores are logarithms of likelihoods."
)
source_passage = click.option(
    "--source-passage",
    type=click.Choice(SOURCE_PASSAGES),
    default=RetrieverRun.source_passage,
    show_default=True,
    help="The passage that a synthetic question was written from: keep it, cap its question-likelihood at that of the "
    "best other passage, or drop it.",
)


def preset_values(name: str | None) -> dict[str, Any]:
    """What a preset sets, without the options that the command line gives; --temperature replaces that of cosines."""
    values = {option: value for option, value in PRESETS.get(name or "", {}).items() if not is_given(option)}
    if is_given("temperature"):
        values.pop("cosine_temperature", None)
    return values

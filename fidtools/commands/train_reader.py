"""fidtools train-reader: train a Fusion-in-Decoder reader on questions with passages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options
from fidtools.commands import _training_options as options
from fidtools.commands import _value_types as values
from fidtools.reader.presets import PRESETS
from fidtools.reader.run_config import ReaderInputs, ReaderRun
from fidtools.training.settings import TrainingSettings

DROPOUT = options.by_preset({name: preset.dropout for name, preset in PRESETS.items()})
N_CONTEXT = options.by_preset({name: preset.inputs.n_context for name, preset in PRESETS.items()})
TEXT_MAXLENGTH = options.by_preset({name: preset.inputs.text_maxlength for name, preset in PRESETS.items()})


@click.command("train-reader")
@options.train
@options.dev("exact match")
@_options.reader
@options.output("reader")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    show_default="causal for a causal language model, else base",
    help="Settings for options that are not given: the paper's (Table 7), or those for causal language models.",
)
@click.option("--dropout", type=options.dropout_rate, show_default=DROPOUT, help="Dropout of all layers.")
@click.option("--n-context", type=options.positive, show_default=N_CONTEXT, help="Passages per question, from the top.")
@click.option(
    "--text-maxlength",
    type=values.tokens,
    show_default=TEXT_MAXLENGTH,
    help="Tokens of one passage with the question.",
)
@click.option("--answer-maxlength", type=values.tokens, help="Tokens of an answer.  [default: initial model's; 50]")
@click.option("--no-title", is_flag=True, help="Leave out passage titles.")
@click.option("--question-prefix", help="Before the question.  [default: initial model's; 'question:']")
@click.option("--title-prefix", help="Before a title.  [default: initial model's; 'title:']")
@click.option("--context-prefix", help="Before a passage.  [default: initial model's; 'context:']")
@click.option(
    "--gradient-checkpointing",
    is_flag=True,
    help="Recompute the encoder in the backward pass: less memory, about a third slower.",
)
@options.lora
@options.keep_adapter
@options.training_options({name: preset.settings for name, preset in PRESETS.items()})
def command(
    train: str, output: Path, preset: str | None, no_title: bool, resume: bool, force: bool, **given: Any
) -> None:
    """Train a Fusion-in-Decoder reader on the questions of TRAIN, each with `ctxs` and an answer.

    --reader is an encoder-decoder, or a causal language model: a folder, a model name on the hub, or smollm.

    The best model on --dev (exact match of greedy answers) is written to the output folder, which transformers loads;
    the last one is in `last/` inside it, the settings and results are in `training.json` and `log.jsonl`. Without
    --dev the last model is kept.

    \b
      fidtools train-reader train.jsonl --dev dev.jsonl --reader google-t5/t5-base -o reader
      fidtools train-reader train.jsonl --dev dev.jsonl --reader start -o reader \\
        --steps 500 --batch 8 --lr 5e-4
      fidtools train-reader train.jsonl --reader smollm -o reader --n-context 5
    """
    chosen = PRESETS[preset or _preset_of(given["reader"])]
    settings = replace(chosen.settings, **options.take(given, TrainingSettings))
    inputs = replace(chosen.inputs, title=not no_title, **options.take(given, ReaderInputs))
    dropout = chosen.dropout if given["dropout"] is None else given["dropout"]
    run = ReaderRun(train, **(given | {"settings": settings, "inputs": inputs, "dropout": dropout}))
    options.warn_without_dev(run.dev)
    if no_title:
        _options.warn_unused("with --no-title", "title_prefix")
    with options.fields_as_flags():
        from fidtools.reader.train import train_reader

        train_reader(run, output, resume=resume, force=force)


def _preset_of(reader: str) -> str:
    from fidtools.compute.loading import is_causal

    return "causal" if is_causal(reader) else "base"

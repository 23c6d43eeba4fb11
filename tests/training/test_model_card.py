"""Model cards: exact text, valid metadata, hostile values, and a command line that repeats the run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import orjson
import pytest
from huggingface_hub import ModelCard

from fidtools.cli import run
from fidtools.reader.run_config import ReaderInputs, ReaderRun
from fidtools.retriever.run_config import RetrieverRun
from fidtools.teachers.run_config import TeacherRun
from fidtools.training.model_card import base_model, command_line, model_card
from fidtools.training.settings import TrainingSettings

Record = dict[str, Any]


def as_kept(kind: Any) -> Record:
    """The record of a run as it is read from training.json."""
    record: Record = orjson.loads(orjson.dumps({"settings": kind.settings} | kind.record()))
    return record


READER = as_kept(
    ReaderRun(
        "train.jsonl",
        "google-t5/t5-base",
        "dev.jsonl",
        TrainingSettings(steps=20, trackers=("wandb",)),
        ReaderInputs(title=False, question_prefix="q: "),
    )
)
EXPECTED = """\
---
base_model: "google-t5/t5-base"
library_name: transformers
tags:
- fidtools
- fusion-in-decoder
- question-answering
---

# Fusion-in-Decoder reader

Trained by `fidtools train-reader`.

|  |  |
|---|---|
| base model | `google-t5/t5-base` |
| training data | `train.jsonl` |
| training data, SHA-256 | `abc` |
| dev data | `dev.jsonl` |
| updates | `12` |

## Dev metrics

| metric | value |
|---|---|
| dev_em | `43.75` |
| dev_f1 | `50.1235` |

## Settings

| setting | value |
|---|---|
| steps | `20` |
| batch | `64` |
| lr | `0.0001` |
| optimizer | `adam` |
| schedule | `constant` |
| warmup | `0` |
| weight_decay | `0.0` |
| clip | `1.0` |
| seed | `0` |
| precision | `auto` |
| eval_every | `500` |
| save_every | `500` |
| patience | `0` |
| trackers | `["wandb"]` |
| text_maxlength | `250` |
| n_context | `100` |
| question_prefix | `q: ` |
| title | `false` |
| dropout | `0.1` |
| token_budget | `16384` |

## Command line

```sh
fidtools train-reader train.jsonl --steps 20 --batch 64 --lr 0.0001 --optimizer adam \\
    --schedule constant --warmup 0 --weight-decay 0.0 --clip 1.0 --seed 0 --precision auto \\
    --eval-every 500 --save-every 500 --patience 0 --tracker wandb --text-maxlength 250 \\
    --n-context 100 --question-prefix 'q: ' --no-title --dev dev.jsonl --reader google-t5/t5-base \\
    --dropout 0.1 --token-budget 16384 -o reader
```

## How to load it

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

model = AutoModelForSeq2SeqLM.from_pretrained("reader")
tokenizer = AutoTokenizer.from_pretrained("reader")
```

```sh
fidtools read questions.jsonl --reader reader
```
"""


def test_the_card_of_a_reader() -> None:
    metrics = {"dev_em": 43.75, "dev_f1": 50.12345678}
    assert model_card(READER | {"hashes": {"train": "abc"}}, 12, metrics) == EXPECTED


@pytest.mark.parametrize(
    ("record", "library", "base", "text"),
    [
        (READER, "transformers", "google-t5/t5-base", "AutoModelForSeq2SeqLM"),
        (
            as_kept(RetrieverRun("t", "bert-base-uncased")),
            "sentence-transformers",
            "bert-base-uncased",
            "| loss | `kl` |",
        ),
        (as_kept(RetrieverRun("t", student="lstm")), "sentence-transformers", None, "none: trained from scratch"),
        (as_kept(RetrieverRun("t", "minilm", freeze_passages=True)), "sentence-transformers", "MINILM", "r/passages"),
        (as_kept(TeacherRun("t", "bert-base-uncased")), "sentence-transformers", "bert-base-uncased", "CrossEncoder("),
        (as_kept(TeacherRun("t", coattention=True)), "fidtools", None, "fidtools score-cross"),
    ],
)
def test_the_hub_reads_the_metadata(record: Record, library: str, base: str | None, text: str) -> None:
    card = model_card(record, 1, {})
    assert card is not None
    assert text in card
    assert "Dev metrics" not in card
    data = ModelCard(card, ignore_metadata_errors=False).data.to_dict()
    assert data["library_name"] == library
    assert data.get("base_model") == (base if base != "MINILM" else "sentence-transformers/all-MiniLM-L6-v2")
    assert data["tags"][0] == "fidtools"
    assert "license" not in data


def test_hostile_values_break_neither_tables_nor_blocks() -> None:
    strange = "a|b\n---\n```x``` `y"
    card = model_card(as_kept(RetrieverRun(strange, "r", question_format=strange + "{question}")), 1, {})
    assert card is not None
    shown = r"a\|b\n---\n```x``` `y"
    assert f"| training data | ````{shown}```` |" in card
    assert f"| question_format | ````{shown}{{question}}```` |" in card
    assert card.count("\n````sh\n") == 1
    assert [line for line in card.splitlines() if line == "---"][:2] == ["---", "---"]
    assert shlex.split(command_line({"command": "train-retriever", "train": strange}))[2] == strange


def test_a_run_of_no_command_has_no_card() -> None:
    assert model_card({"settings": {}, "data": "x"}, 1, {"m": 1.0}) is None


def test_the_base_model_is_found_through_earlier_runs(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder, start in ((first, "bert-base-uncased"), (second, str(first))):
        folder.mkdir()
        record = {"command": "train-retriever", "retriever": start}
        (folder / "training.json").write_bytes(orjson.dumps(record))
    assert base_model({"command": "train-retriever", "retriever": str(second)}) == "bert-base-uncased"
    (first / "training.json").unlink()
    assert base_model({"command": "train-retriever", "retriever": str(second)}) is None
    assert base_model({"command": "train-retriever", "retriever": "/no/such/folder"}) is None


def test_a_model_that_took_the_place_of_its_own_start_has_no_base(tmp_path: Path) -> None:
    """`train-reader --reader model -o new`, then `mv new model`, then again."""
    record = {"command": "train-reader", "reader": str(tmp_path)}
    (tmp_path / "training.json").write_bytes(orjson.dumps(record))
    assert base_model(record) is None


@pytest.mark.parametrize("damaged", [b"", b"{", b"[1]", b'"text"'])
def test_a_damaged_record_of_an_earlier_run_ends_no_training(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "training.json").write_bytes(damaged)
    assert base_model({"command": "train-reader", "reader": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("command", "module", "started"),
    [
        (
            "train-reader",
            "fidtools.reader.train.train_reader",
            ReaderRun("t.jsonl", "r", None, TrainingSettings(lr=0.5), ReaderInputs(None, 7, 3, title=False), 0.0),
        ),
        (
            "train-retriever",
            "fidtools.retriever.train.train_retriever",
            RetrieverRun("t.jsonl", "r", dev="d", labels="gold", normalize=False, question_format="a 'b' {question}"),
        ),
        (
            "train-teacher",
            "fidtools.teachers.train.train_teacher",
            TeacherRun("t.jsonl", coattention=True, negatives=3),
        ),
    ],
)
def test_the_command_line_repeats_the_run(
    command: str, module: str, started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    for name in ("t.jsonl", "d"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fidtools.compute.loading.is_causal", lambda name: False)  # r and the like are no models
    monkeypatch.setattr(module, lambda run, output, **_: seen.append((run.record(), run.settings, str(output))))
    line = command_line(as_kept(started))
    assert run(shlex.split(line.replace("\\\n", ""))[1:]) == 0
    record = started.record()
    if command == "train-reader":  # an option that is not given cannot be None: it is the preset's
        record["inputs"]["text_maxlength"] = 250
    assert seen == [(record, started.settings, command.removeprefix("train-"))]


def test_the_card_of_a_causal_reader_loads_it_as_one() -> None:
    card = model_card(READER | {"causal": True, "lora": 8}, 1, {})
    assert card is not None
    assert "AutoModelForCausalLM.from_pretrained" in card
    assert "Seq2Seq" not in card
    assert "--lora 8" in command_line(READER | {"causal": True, "lora": 8})
    assert "--causal" not in card

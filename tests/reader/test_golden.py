"""The reference implementation's numbers (transformers 3.0.2, float32), with padding removed on our side."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fidtools.data.read import read_passages, read_questions
from fidtools.data.record_parsing import parse_question
from fidtools.data.records import Location, Question
from fidtools.reader.aggregations import DEFAULT_AGGREGATION
from fidtools.reader.answering import answer_questions
from fidtools.reader.attention_scores import attention_scores, fused_scores
from fidtools.reader.decoding import GenerationSettings, answer_fused
from fidtools.reader.network import Batch
from fidtools.reader.position_bias import cross_attention_bias, one_directional_buckets
from fidtools.reader.prompt import ReaderSettings, input_texts, input_tokens, target_tokens
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import cast_linear_weights, load_reader
from fidtools.released.readers import CROSS_BIAS, convert_reader, load_released_reader, rename_tensors
from tests import GOLDEN
from tests.models import SPECIAL, word_tokenizer

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def tiny(tmp_path: Path) -> Reader:
    """The golden reader, read from the reference's own key names."""
    shutil.copyfile(GOLDEN / "fid_tiny_config.json", tmp_path / "config.json")
    shutil.copyfile(GOLDEN / "fid_tiny_reference.safetensors", tmp_path / "model.safetensors")
    reader = load_released_reader(tmp_path, word_tokenizer([*SPECIAL, *(f"t{i}" for i in range(4, 200))]))
    reader.fusion.eval()
    return reader


@pytest.fixture
def io() -> dict[str, Tensor]:
    return load_file(GOLDEN / "fid_tiny_io.safetensors")


def unpadded(ids: Tensor, mask: Tensor) -> list[list[list[int]]]:
    """Tokens of every passage that has any: [question][passage][token]."""
    return [
        [row[keep].tolist() for row, keep in zip(passages, keeps, strict=True) if keep.any()]
        for passages, keeps in zip(ids, mask, strict=True)
    ]


def golden_batch(io: dict[str, Tensor]) -> Batch:
    targets = [row[row != -100].tolist() for row in io["labels"]]
    return Batch(unpadded(io["input_ids"], io["attention_mask"]), targets)


def test_loss_and_logits(tiny: Reader, io: dict[str, Tensor]) -> None:
    batch = golden_batch(io)
    count = sum(len(target) for target in batch.targets)
    torch.testing.assert_close(tiny.fusion(batch) / count, io["loss"][0], **CLOSE)

    logits = tiny.fusion.decode(tiny.fusion.fuse(batch.passages), tiny.fusion.decoder_inputs(batch.targets))
    for ours, theirs, target in zip(logits, io["logits"], batch.targets, strict=True):
        torch.testing.assert_close(ours[: len(target)], theirs[: len(target)], **CLOSE)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients(tiny: Reader, io: dict[str, Tensor], checkpointing: bool) -> None:
    tiny.fusion.train()
    for module in tiny.fusion.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    tiny.fusion.checkpoint_encoder = checkpointing
    batch = golden_batch(io)
    (tiny.fusion(batch) / sum(len(target) for target in batch.targets)).backward()

    theirs = load_file(GOLDEN / "fid_tiny_grads.safetensors")
    ours = {name: parameter.grad for name, parameter in tiny.fusion.model.named_parameters()}
    assert tiny.fusion.bias is not None
    ours[CROSS_BIAS] = tiny.fusion.bias.weight.grad
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_greedy_tokens(tiny: Reader, io: dict[str, Tensor]) -> None:
    """With a key/value cache, where the decoder's position decides the bias."""
    with torch.inference_mode():
        fused = tiny.fusion.fuse(golden_batch(io).passages)
        answers = answer_fused(tiny, fused, GenerationSettings(max_tokens=io["generated"].shape[1] - 1))
    expected = [[f"t{token}" for token in row if token > 3] for row in io["generated"].tolist()]
    assert [a.text.split() for a, *_ in answers] == expected


def test_first_step_scores(tiny: Reader, io: dict[str, Tensor]) -> None:
    mask = io["attention_mask"]
    with torch.inference_mode():
        for index, passages in enumerate(unpadded(io["input_ids"], mask)):
            (fused,) = tiny.fusion.fuse([passages])
            with tiny.fusion.recorder.recording() as layers:
                tiny.fusion.decode([fused], torch.tensor([[0]]))
            raw = torch.cat([layer.scores for layer in layers])[:, :, 0].transpose(0, 1)  # (heads, layers, tokens)
            theirs = io["crossattention_raw"][index][..., mask[index].flatten()]
            torch.testing.assert_close(raw, theirs, **CLOSE)

            scores = torch.tensor(fused_scores(tiny.fusion, fused, [len(p) for p in passages])[DEFAULT_AGGREGATION])
            expected = io["crossattention_scores"][index]
            torch.testing.assert_close(scores, expected[~expected.isnan()], **CLOSE)


def test_position_buckets() -> None:
    golden = load_file(GOLDEN / "t5_position_buckets.safetensors")
    distance = (-golden["relative_position"]).clamp(min=0)
    assert torch.equal(one_directional_buckets(distance, 32), golden["bucket_unidirectional"])


def test_bias_of_a_cached_step_is_a_row_of_the_whole(tiny: Reader) -> None:
    assert tiny.fusion.bias is not None
    whole = cross_attention_bias(tiny.fusion.bias, 0, 6, 9)
    assert torch.equal(cross_attention_bias(tiny.fusion.bias, 4, 1, 9), whole[:, :, 4:5])


@pytest.fixture
def released(tmp_path: Path) -> Reader:
    """The end-to-end reader after `convert` and loading, as a user has it."""
    source, target = tmp_path / "released", tmp_path / "reader"
    source.mkdir()
    shutil.copyfile(GOLDEN / "e2e/reader/config.json", source / "config.json")
    torch.save(load_file(GOLDEN / "e2e/reader/model.safetensors"), source / "pytorch_model.bin")
    convert_reader(source, target, GOLDEN / "e2e/t5_tokenizer")
    reader = load_reader(target, text_maxlength=120, n_context=5)
    reader.fusion.eval()
    return reader


@pytest.mark.parametrize("split", ["train", "dev"])
def test_end_to_end(released: Reader, split: str) -> None:
    questions = list(read_questions(GOLDEN / f"e2e/{split}.json"))
    lines = (GOLDEN / f"e2e/expected_{split}_answers.txt").read_text().splitlines()
    answers = answer_questions(released, questions, GenerationSettings(max_tokens=50))
    assert [f"{q.id}\t{a.text}" for q, (a, *_) in zip(questions, answers, strict=True)] == lines

    expected = json.loads((GOLDEN / f"e2e/expected_{split}_scores.json").read_bytes())
    for scores, theirs in zip(attention_scores(released, questions), expected, strict=True):
        assert scores[DEFAULT_AGGREGATION] == pytest.approx(theirs["scores"], rel=1e-4)


def golden_questions() -> list[Question]:
    examples = json.loads((GOLDEN / "dataset.json").read_bytes())["input"]
    return [parse_question(e, Location("dataset.json", i)) for i, e in enumerate(examples, 1)]


def test_input_strings() -> None:
    golden = json.loads((GOLDEN / "dataset.json").read_bytes())
    view = next(v for v in golden["views"] if v["n_context"] == 3)
    for question, item in zip(golden_questions(), view["items"], strict=True):
        question.sort_ctxs()
        theirs = [f"{item['question']} {passage}" for passage in item["passages"]]
        assert input_texts(question.question, question.ctxs or [], ReaderSettings()) == theirs


def test_tokens() -> None:
    from transformers import T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(GOLDEN / "e2e/t5_tokenizer")
    questions = [q for i, q in enumerate(golden_questions()) if i != 3]
    for case in json.loads((GOLDEN / "dataset.json").read_bytes())["t5_tokenized"]:
        if "passage_ids" not in case:
            continue
        settings = ReaderSettings(text_maxlength=case["text_maxlength"])
        for i, question in enumerate(questions):
            question.sort_ctxs()
            passages = (question.ctxs or [])[: len(case["passage_ids"][i])]
            theirs = unpadded(
                torch.tensor([case["passage_ids"][i]]), torch.tensor([case["passage_mask"][i]], dtype=torch.bool)
            )
            assert [input_tokens(tokenizer, input_texts(question.question, passages, settings), settings)] == theirs


def test_a_target_keeps_its_end() -> None:
    """The reference cuts `</s>` off a long target; here it always ends it."""
    from transformers import T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(GOLDEN / "e2e/t5_tokenizer")
    long, short = (target_tokens(tokenizer, "only answer", ReaderSettings(answer_maxlength=n), 1) for n in (50, 4))
    assert long == [3, 24, 15, 7, 3, 126, 4, 31, 11, 8, 1]
    assert short == [3, 24, 15, 1]


def test_reference_names() -> None:
    names = [
        "encoder.encoder.block.3.module.layer.0.SelfAttention.q.weight",
        "decoder.block.1.layer.2.layer_norm.weight",
    ]
    plain = rename_tensors({name: torch.zeros(1) for name in names})
    assert list(plain) == ["encoder.block.3.layer.0.SelfAttention.q.weight", names[1]]


def test_bf16_ranks_passages_as_float32_does(released: Reader) -> None:
    """A trained reader, forty passages a question: Spearman's rho of at least 0.99 for every question."""
    draw, corpus = random.Random(0), list(read_passages(GOLDEN / "e2e/passages.tsv"))
    questions = list(read_questions(GOLDEN / "e2e/dev.json"))
    for question in questions:
        question.ctxs = [*(question.ctxs or []), *draw.sample(corpus, 35)]
    released.settings = replace(released.settings, n_context=None)
    exact = attention_scores(released, questions)
    cast_linear_weights(released.fusion.model, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention_scores(released, questions)
    for ours, theirs in zip(rounded, exact, strict=True):
        ranks = torch.stack([torch.tensor(s[DEFAULT_AGGREGATION]).argsort().argsort().double() for s in (ours, theirs)])
        assert float(torch.corrcoef(ranks)[0, 1]) >= 0.99

"""Decoding without keys and values against decoding with them, for every family that cross-attends."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from fidtools.data.records import Question
from fidtools.reader.absorption import EncodingsCache, StandIn, without_projections
from fidtools.reader.aggregations import AGGREGATIONS, TABLE_6, VALUE_NORM
from fidtools.reader.answering import answer_questions
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.likelihood import LEAVE_ONE_OUT, LIKELIHOOD, likelihoods
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import cast_linear_weights, reader_from_model
from fidtools.reader.recorder import install_recorder
from tests.models import VOCABULARY, t5_config, tiny_model, tiny_reader, word_tokenizer

KINDS = ["t5", "flan-t5", "byt5", "mt5", "umt5", "longt5", "bart", "mbart", "pegasus", "t5gemma", "encoder-decoder"]
OUTPUT = [40, 41, 1]


def multi_query_t5() -> Reader:
    """A T5 whose heads are wider together than its encodings, with the bias of released readers."""
    torch.manual_seed(2)
    model = hf.T5ForConditionalGeneration(t5_config(hf.T5Config, num_heads=4, d_kv=10)).eval()
    reader = reader_from_model(model, word_tokenizer(), bias=nn.Embedding(32, 4))
    reader.fusion.eval()
    return reader


def reader_of(kind: str) -> Reader:
    reader = multi_query_t5() if kind == "biased" else tiny_reader(kind)
    for parameter in reader.fusion.model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.3)  # biases are zero at the start
    return reader


def everything(reader: Reader, questions: list[Question]) -> dict[str, Any]:
    """Scores, answers with log-probabilities, and likelihoods, by ways of asking for them."""
    outputs = [OUTPUT] * len(questions)
    beams = GenerationSettings(beams=3, n_best=3, max_tokens=4)
    return {
        "first step": attention_scores(reader, questions, list(TABLE_6)),
        "three tokens": attention_scores(reader, questions, list(TABLE_6), outputs),
        "greedy": answer_questions(reader, questions, GenerationSettings(max_tokens=6)),
        "beams": answer_questions(reader, questions, beams),
        "keep passages": answer_questions(reader, questions, beams, keep_passages=2),
        LIKELIHOOD: likelihoods(reader, questions[0], OUTPUT, LIKELIHOOD),
        LEAVE_ONE_OUT: likelihoods(reader, questions[2], OUTPUT, LEAVE_ONE_OUT),
    }


def with_keys_and_values(reader: Reader) -> Reader:
    reader.fusion.recorder.projections = {}
    return reader


def scores_of(found: dict[str, Any], way: str) -> list[float]:
    return [value for scores in found[way] for name in scores for value in scores[name]]


@pytest.mark.parametrize("kind", [*KINDS, "biased"])
def test_scores_answers_and_likelihoods_are_those_with_keys_and_values(kind: str, questions: list[Question]) -> None:
    absorbed = everything(reader_of(kind), questions)
    kept = everything(with_keys_and_values(reader_of(kind)), questions)
    for way in ("first step", "three tokens"):
        assert scores_of(absorbed, way) == pytest.approx(scores_of(kept, way), rel=1e-4, abs=1e-5)
    for way in ("greedy", "beams", "keep passages"):
        for ours, theirs in zip(absorbed[way], kept[way], strict=True):
            assert [a.text for a in ours] == [a.text for a in theirs]
            expected = [a.log_probability for a in theirs]
            assert [a.log_probability for a in ours] == pytest.approx(expected, abs=2e-4)
    for way in (LIKELIHOOD, LEAVE_ONE_OUT):
        assert absorbed[way] == pytest.approx(kept[way], abs=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, "biased"])
def test_bf16_is_as_near_to_float32_as_with_keys_and_values(kind: str, questions: list[Question]) -> None:
    exact = everything(with_keys_and_values(reader_of(kind)), questions)
    rounded = reader_of(kind)
    cast_linear_weights(rounded.fusion.model, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        absorbed = everything(rounded, questions)
    for way in ("first step", "three tokens"):
        values = scores_of(exact, way)
        assert scores_of(absorbed, way) == pytest.approx(values, abs=0.03 * max(map(abs, values)))
    for way in (LIKELIHOOD, LEAVE_ONE_OUT):
        assert absorbed[way] == pytest.approx(exact[way], abs=0.2)
    for ours, theirs in zip(absorbed["greedy"], exact["greedy"], strict=True):
        assert ours[0].log_probability == pytest.approx(theirs[0].log_probability, abs=0.4)


def linear_calls(reader: Reader) -> list[str]:
    """The names of the cross-attention's layers that make keys and values, as they are called from now on."""
    called: list[str] = []
    for module, found in reader.fusion.recorder.projections.items():
        for name in (found.key_name, found.value_name):
            module.get_submodule(name).register_forward_hook(lambda m, args, output, n=name: called.append(n))
    return called


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_of_every_family_is_absorbed(kind: str, questions: list[Question]) -> None:
    """Fails when a release of transformers makes keys and values in another way."""
    reader = tiny_reader(kind)
    assert set(reader.fusion.recorder.projections) == reader.fusion.recorder.cross != set()
    called = linear_calls(reader)
    attention_scores(reader, questions)
    answer_questions(reader, questions, GenerationSettings(beams=2, max_tokens=3))
    likelihoods(reader, questions[0], [1], LIKELIHOOD)
    assert called == []


def test_keys_and_values_are_made_where_they_are_needed(reader: Reader, questions: list[Question]) -> None:
    """For the norms of values, in training, and for outputs so long that they cost less.

    With n queries of 2 heads, d = 16 and a head's size of 6 that is where 2·n·16 ≥ 16·12 + n·12, from n = 10.
    """
    called = linear_calls(reader)
    layers = len(reader.fusion.recorder.projections)
    once = ["k", "v"] * layers
    (fused, *_) = reader.fusion.fuse(reader.tokens(questions))
    with torch.inference_mode():
        attention_scores(reader, questions[:1], [VALUE_NORM])
        assert called == once
        reader.fusion.decode([fused.detach()], torch.zeros(1, 9, dtype=torch.long))
        assert called == once
        reader.fusion.decode([fused.detach()], torch.zeros(1, 10, dtype=torch.long))
        assert called == 2 * once
    reader.fusion.decode([fused], torch.zeros(1, 1, dtype=torch.long))
    assert called == 3 * once
    reader.fusion.train()
    with torch.no_grad():
        reader.fusion.decode([fused], torch.zeros(1, 1, dtype=torch.long))
    assert called == 4 * once


def test_all_scores_together_are_those_with_keys_and_values(reader: Reader, questions: list[Question]) -> None:
    together = attention_scores(reader, questions, AGGREGATIONS)
    alone = attention_scores(reader, questions, list(TABLE_6))
    for both, one in zip(together, alone, strict=True):
        for name, values in one.items():
            assert both[name] == pytest.approx(values, rel=1e-5)


def test_the_model_is_as_it_was_after_an_error(reader: Reader) -> None:
    projections = reader.fusion.recorder.projections
    before = {name: id(module) for name, module in reader.fusion.model.named_modules()}
    with pytest.raises(RuntimeError, match="stop"), without_projections(projections) as stand_ins:
        assert sum(isinstance(module, StandIn) for module in reader.fusion.model.modules()) == len(stand_ins) == 3
        raise RuntimeError("stop")
    assert {name: id(module) for name, module in reader.fusion.model.named_modules()} == before


def test_a_placeholder_takes_no_memory_and_shows(reader: Reader) -> None:
    encodings = torch.randn(2, 5, 16)
    stand_in = StandIn(12)
    placeholder = stand_in(encodings)
    assert placeholder.shape == (2, 5, 12)
    assert placeholder.untyped_storage().nbytes() == 4
    assert stand_in.encodings is encodings
    assert (placeholder @ torch.zeros(12, 1)).isnan().all()


def test_the_cache_copies_nothing() -> None:
    cache = EncodingsCache()
    keys, values = torch.randn(4, 2, 5, 3), torch.randn(4, 2, 5, 3)
    assert all(a is b for a, b in zip(cache.update(keys, values, 0), (keys, values), strict=True))
    cache.reorder_cache(torch.tensor([1, 1, 2, 2]))
    assert cache.layers[0].keys is keys
    assert cache.get_seq_length() == 5


def test_a_model_that_changes_its_keys_is_read_with_them(
    questions: list[Question], caplog: pytest.LogCaptureFixture
) -> None:
    """As a norm of the keys does: the reason is reported with -v, and the answers are those of the model."""

    class Normed(nn.Linear):
        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(super().forward(states), dim=-1)

    model = tiny_model("t5")
    for block in model.decoder.block:
        attention = block.layer[1].EncDecAttention
        normed = Normed(16, 12, bias=False)
        normed.load_state_dict(attention.k.state_dict())
        attention.k = normed
    with caplog.at_level(logging.DEBUG, "fidtools"):
        reader = reader_from_model(model.eval(), word_tokenizer())
    assert reader.fusion.recorder.projections == {}
    reason = "the keys of T5Attention are not the output of one linear layer"
    assert f"T5ForConditionalGeneration: decodes with keys and values of all tokens: {reason}" in caplog.messages
    reader.fusion.eval()
    assert len(answer_questions(reader, questions, GenerationSettings(max_tokens=3))) == len(questions)


def test_a_decoder_without_linear_layers_is_read_with_keys_and_values() -> None:
    """GPT-2 makes keys and values together, by a convolution."""
    bert = hf.BertConfig(vocab_size=90, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    gpt2 = hf.GPT2Config(vocab_size=90, n_embd=16, n_layer=1, n_head=2)
    config = hf.EncoderDecoderConfig.from_encoder_decoder_configs(bert, gpt2, decoder_start_token_id=2, pad_token_id=0)
    recorder = install_recorder(hf.EncoderDecoderModel(config).eval())
    assert len(recorder.cross) == 1
    assert recorder.projections == {}


def test_grouped_heads_share_weights() -> None:
    model = tiny_model("t5gemma")
    (found, *_) = install_recorder(model).projections.values()
    assert (found.heads, found.size, found.key.out_features) == (4, 4, 8)
    assert len(VOCABULARY) == model.config.vocab_size

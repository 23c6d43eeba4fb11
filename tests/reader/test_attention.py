"""Scores against a slow loop over explicitly captured α[i, j, k, h]."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError, FidtoolsError
from fidtools.reader.aggregations import AGGREGATIONS
from fidtools.reader.answering import answer_questions
from fidtools.reader.attention import LayerAttention
from fidtools.reader.attention_scores import aggregate, attention_scores, fused_scores, score_questions
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import reader_from_model
from fidtools.reader.recorder import install_recorder
from tests.models import t5_config, tiny_model, tiny_reader, word_tokenizer
from tests.reader.slow_attention import captured

mean = statistics.fmean


def captured_alpha(reader: Reader, passages: list[list[int]], output: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """α[k][h][i][j] and ‖v‖[k][h][j] of a T5, from forward hooks on its projections: no attention interface."""
    model = reader.fusion.model
    heads, size = model.config.num_heads, model.config.d_kv
    alpha, norms, hooks = [], [], []
    seen: dict[tuple[int, str], torch.Tensor] = {}

    def keep(key: tuple[int, str]) -> Any:
        return lambda module, inputs, result: seen.__setitem__(key, result)

    for k, block in enumerate(model.decoder.block):
        cross = block.layer[1].EncDecAttention
        hooks += [getattr(cross, name).register_forward_hook(keep((k, name))) for name in "qkv"]
    states = torch.cat([model.encoder(torch.tensor([p])).last_hidden_state[0] for p in passages])[None]
    model(
        encoder_outputs=BaseModelOutput(last_hidden_state=states), decoder_input_ids=torch.tensor([[0, *output[:-1]]])
    )
    for hook in hooks:
        hook.remove()
    for k in range(len(model.decoder.block)):
        q, key, v = (seen[k, name][0].unflatten(-1, (heads, size)) for name in "qkv")
        alpha.append(
            [[[float(q[i, h] @ key[j, h]) for j in range(len(key))] for i in range(len(q))] for h in range(heads)]
        )
        norms.append([[float(v[j, h].norm()) for j in range(len(v))] for h in range(heads)])
    return alpha, norms


def slow_scores(alpha: list[Any], norms: list[Any], lengths: list[int]) -> dict[str, list[float]]:
    """Table 6, rows 0 to 5, the value-norm score and the mass without the first token, spelled out."""
    layers, heads, outputs = range(len(alpha)), range(len(alpha[0])), range(len(alpha[0][0]))
    weights = torch.tensor(alpha, dtype=torch.float64).softmax(-1)
    slow: dict[str, list[float]] = {name: [] for name in AGGREGATIONS}
    start = 0
    for length in lengths:
        tokens = range(start, start + length)
        start += length
        a = alpha
        rows = [
            mean(a[k][h][0][j] for k in layers for h in heads for j in tokens),
            mean(max(a[k][h][0][j] for j in tokens) for k in layers for h in heads),
            mean(a[k][h][i][j] for k in layers for h in heads for i in outputs for j in tokens),
            mean(a[k][h][0][j] for k in layers[-6:] for h in heads for j in tokens),
            mean(max(a[k][h][0][j] for k in layers) for j in tokens for h in heads),
            mean(max(a[k][h][0][j] for h in heads) for j in tokens for k in layers),
            mean(float(weights[k][h][0][j]) * norms[k][h][j] for k in layers for h in heads for j in tokens),
            mean(
                sum(float(weights[k][h][i][j]) * norms[k][h][j] for j in tokens[1:])
                for k in layers
                for h in heads
                for i in outputs
            ),
        ]
        for name, value in zip(AGGREGATIONS, rows, strict=True):
            slow[name].append(value)
    return slow


@pytest.mark.parametrize("decoder_layers", [2, 8])
def test_every_aggregation_is_the_slow_loop(decoder_layers: int) -> None:
    """Eight decoder layers, so that the last six are not all of them."""
    import transformers as hf

    torch.manual_seed(3)
    config = t5_config(hf.T5Config, num_decoder_layers=decoder_layers)
    reader = reader_from_model(hf.T5ForConditionalGeneration(config).eval(), word_tokenizer())
    passages, output = [[5, 9, 30], [7] * 11, [60, 61]], [40, 41, 1]
    lengths = [len(p) for p in passages]
    with torch.inference_mode():
        slow = slow_scores(*captured_alpha(reader, passages, output), lengths)
        (fused,) = reader.fusion.fuse([passages])
        fast = fused_scores(reader.fusion, fused, lengths, AGGREGATIONS, output, [1, 1, 1])
    assert fast.keys() == slow.keys()
    for name, values in slow.items():
        assert fast[name] == pytest.approx(values, rel=1e-5, abs=1e-6), name
    assert (fast["attention"] == pytest.approx(fast["attention-last-layers"])) == (decoder_layers == 2)


def test_aggregations_by_hand() -> None:
    """Two layers, two heads, two output tokens, passages of two and one tokens."""
    scores = torch.zeros(2, 2, 2, 3)  # (layers, heads, outputs, tokens)
    scores[0, 0, 0] = torch.tensor([1.0, 3.0, 0.0])
    scores[1, 1, 0] = torch.tensor([0.0, 8.0, 4.0])
    scores[0, 0, 1] = torch.tensor([16.0, 0.0, 0.0])
    layers = [LayerAttention(layer[None], torch.ones(1, 2, 3, 1)) for layer in scores]
    found = aggregate(layers, [2, 1], AGGREGATIONS[:6])
    assert found == {
        "attention": [12 / 8, 4 / 4],
        "attention-max-token": [(3 + 8) / 4, 4 / 4],
        "attention-outputs": [(12 + 16) / 16, 4 / 8],
        "attention-last-layers": [12 / 8, 4 / 4],
        "attention-max-layer": [(1 + 3 + 8) / 4, 4 / 2],
        "attention-max-head": [(1 + 3 + 8) / 4, 4 / 2],
    }


def test_scores_of_a_question_do_not_depend_on_its_neighbours(reader: Reader, questions: list[Question]) -> None:
    together = attention_scores(reader, questions, AGGREGATIONS)
    reader.fusion.token_budget = 1
    alone = [attention_scores(reader, [question], AGGREGATIONS)[0] for question in questions]
    for one, other in zip(together, alone, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert values == pytest.approx(other[name], rel=1e-5)


def test_a_question_without_passages_has_no_scores(reader: Reader) -> None:
    questions = [Question("q", "who", ctxs=[])]
    (question,) = score_questions(reader, questions, reader.tokens(questions), ["attention"])
    assert question.ctxs == []


def test_scores_sort_the_passages_and_keep_the_old_ones() -> None:
    texts = [("a", 3.0, {"bm25": 3.0}), ("b", 2.0, {}), ("c", 1.0, {})]
    question = Question("q", "who", ctxs=[Passage(i, i, score=score, scores=scores) for i, score, scores in texts])
    question.set_scores({"attention": [0.5, 0.75]}, "attention")
    assert [passage.to_json() for passage in question.ctxs or []] == [
        {"id": "b", "title": "", "text": "b", "score": 0.75, "scores": {"previous": 2.0, "attention": 0.75}},
        {"id": "a", "title": "", "text": "a", "score": 0.5, "scores": {"bm25": 3.0, "attention": 0.5}},
        {"id": "c", "title": "", "text": "c", "scores": {"previous": 1.0}},
    ]


def test_a_passage_that_is_not_scored_loses_an_earlier_score_of_that_name() -> None:
    passages = [Passage("a", "a", scores={"attention": 9.0}), Passage("b", "b", scores={"attention": 8.0, "bm25": 2.0})]
    question = Question("q", "who", ctxs=passages)
    question.set_scores({"attention": [0.5]}, "attention")
    assert [passage.scores for passage in question.ctxs or []] == [{"attention": 0.5}, {"bm25": 2.0}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused_and_changes_nothing(value: float) -> None:
    question = Question("q", "who", ctxs=[Passage("a", "a", score=2.0), Passage("b", "b", score=1.0)])
    question.location = Location("q.jsonl", 3)
    before = question.to_json()
    with pytest.raises(DataError) as caught:
        question.set_scores({"attention": [0.5, value]}, "attention")
    problem = f"q.jsonl:3: field 'ctxs[1].scores.attention': the model's score is not finite (got {value})"
    assert str(caught.value).splitlines()[0] == problem
    assert question.to_json() == before


def test_how_a_score_was_computed_is_forgotten_with_the_score() -> None:
    question = Question("q", "who", ctxs=[Passage("a", "a")], extra={"scored_by": {"likelihood": {"model": "x"}}})
    question.set_scores({"attention": [0.5]}, "attention")
    assert question.extra == {"scored_by": {"likelihood": {"model": "x"}}}
    question.set_scores({"likelihood": [-1.0]}, "likelihood")
    assert question.extra == {}


def test_a_model_without_the_attention_interface_reads_but_gives_no_scores(questions: list[Question]) -> None:
    import transformers as hf

    config = hf.ProphetNetConfig(
        vocab_size=90,
        hidden_size=16,
        num_encoder_layers=1,
        num_decoder_layers=1,
        ngram=1,
        num_encoder_attention_heads=2,
        num_decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        decoder_start_token_id=2,
        pad_token_id=0,
        eos_token_id=1,
    )
    reader = reader_from_model(hf.ProphetNetForConditionalGeneration(config).eval(), word_tokenizer())
    assert len(answer_questions(reader, questions, GenerationSettings(max_tokens=3))) == len(questions)
    with pytest.raises(FidtoolsError, match="ProphetNet.* does not use the attention interface.* no scores"):
        attention_scores(reader, questions)


def test_merged_attention_is_split(questions: list[Question]) -> None:
    """T5Gemma 2 attends to output and input in one softmax, which both enter the weights of the values."""
    reader, output = tiny_reader("t5gemma2"), [40, 41, 1]
    (tokens,) = reader.tokens(questions[:1])
    lengths = [len(p) for p in tokens]
    (found,) = attention_scores(reader, questions[:1], ["attention", "attention-mass"], [output])
    model = reader.fusion.model
    with torch.inference_mode():
        (fused,) = reader.fusion.fuse([tokens])
        model.set_attn_implementation("slow")
        captured.clear()
        states = BaseModelOutput(last_hidden_state=fused[None])
        model(encoder_outputs=states, decoder_input_ids=torch.tensor([[reader.fusion.start, *output[:-1]]]))
    rows, asked = len(output), reader.question_lengths(questions[0], tokens)
    scores = torch.cat([s for s, _ in captured])  # (layers, heads, rows, own and input keys)
    norms = torch.cat([v.norm(dim=-1) for _, v in captured])[:, :, None]
    future = torch.ones(rows, scores.shape[-1], dtype=torch.bool).triu(1) & (torch.arange(scores.shape[-1]) < rows)
    weighted = (scores.masked_fill(future, -torch.inf).softmax(-1) * norms)[..., rows:].split(lengths, -1)
    means = [float(part.mean()) for part in scores[:, :, 0, rows:].split(lengths, -1)]
    assert found["attention"] == pytest.approx(means, abs=1e-5)
    masses = [float(part[..., n:].sum(-1).mean()) for part, n in zip(weighted, asked, strict=True)]
    assert found["attention-mass"] == pytest.approx(masses, abs=1e-5)


@pytest.mark.parametrize("kind", ["t5", "bart", "mbart", "umt5", "mt5", "t5gemma", "t5gemma2", "encoder-decoder"])
def test_the_attention_interface_is_what_we_build_on(kind: str) -> None:
    """Fails when a release of transformers no longer routes cross-attention through its attention interface."""
    recorder = install_recorder(tiny_model(kind))
    config = tiny_model(kind).config
    layers = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", None)
    layers = layers or config.decoder.num_hidden_layers
    assert len(recorder.cross) == layers


def test_the_first_step_is_one_decoder_step(reader: Reader, questions: list[Question]) -> None:
    """No generation: each question costs one call of the decoder, of one token."""
    calls: list[tuple[int, ...]] = []
    hook = reader.fusion.model.decoder.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    attention_scores(reader, questions)
    hook.remove()
    assert calls == [(1, 1)] * 4

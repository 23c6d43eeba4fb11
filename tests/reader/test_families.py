"""Every kind of encoder–decoder, as a tiny random model: training step, answers and scores, fused against padded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from fidtools.compute.device import Compute
from fidtools.data.records import Question
from fidtools.reader.aggregations import AGGREGATIONS
from fidtools.reader.answering import answer_questions
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.likelihood import likelihoods
from fidtools.reader.network import Batch
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import cast_linear_weights, load_inference_reader, load_reader
from fidtools.reader.train import set_dropout, set_plain_generation
from tests.models import tiny_reader

KINDS = ["t5", "flan-t5", "byt5", "mt5", "umt5", "bart", "mbart", "t5gemma", "t5gemma2", "encoder-decoder"]


@pytest.fixture(params=KINDS)
def any_reader(request: pytest.FixtureRequest) -> Reader:
    return tiny_reader(request.param)


def padded_inputs(reader: Reader, passages: Sequence[Sequence[Sequence[int]]]) -> dict[str, object]:
    """The reference's way: every passage padded to one width, every question to as many passages, all concatenated."""
    most = max(len(question) for question in passages)
    width = 3 + max(len(tokens) for question in passages for tokens in question)
    ids = torch.full((len(passages), most, width), reader.fusion.pad)
    mask = torch.zeros(len(passages), most, width, dtype=torch.long)
    for q, question in enumerate(passages):
        for p, tokens in enumerate(question):
            ids[q, p, : len(tokens)] = torch.tensor(tokens)
            mask[q, p, : len(tokens)] = 1
    whole = mask.clone()
    whole[:, :, 0] = 1  # a row of padding alone would have nothing to attend to
    encoder = reader.fusion.model.get_encoder()
    states = encoder(input_ids=ids.flatten(0, 1), attention_mask=whole.flatten(0, 1)).last_hidden_state
    fused = BaseModelOutput(last_hidden_state=states.unflatten(0, ids.shape[:2]).flatten(1, 2))
    return {"encoder_outputs": fused, "attention_mask": mask.flatten(1, 2)}


def batch_of(reader: Reader, questions: list[Question]) -> Batch:
    return Batch([reader.passages(q) for q in questions], [reader.target((q.answers or [""])[0]) for q in questions])


def padded_loss(reader: Reader, batch: Batch) -> Tensor:
    """The summed loss as transformers computes it from `labels`, over padded inputs."""
    longest = max(len(t) for t in batch.targets)
    labels = torch.tensor([[*t, *[-100] * (longest - len(t))] for t in batch.targets])
    inputs = padded_inputs(reader, batch.passages)
    logits = reader.fusion.model(**inputs, decoder_input_ids=reader.fusion.decoder_inputs(batch.targets)).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")


def test_fused_loss_and_gradients_are_those_of_padded_inputs(any_reader: Reader, questions: list[Question]) -> None:
    batch = batch_of(any_reader, questions)
    gradients = []
    for loss in (any_reader.fusion(batch), padded_loss(any_reader, batch)):
        any_reader.fusion.zero_grad()
        loss.backward()
        named = any_reader.fusion.model.named_parameters()
        gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None} | {"loss": loss.detach()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradient, gradients[1][name], rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_training_lowers_the_loss(any_reader: Reader, questions: list[Question]) -> None:
    set_dropout(any_reader.fusion.model, 0.0)
    any_reader.fusion.train()
    optimizer = torch.optim.Adam(any_reader.fusion.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = any_reader.fusion(batch_of(any_reader, questions))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_answers_are_those_of_padded_inputs(any_reader: Reader, questions: list[Question]) -> None:
    """Greedy steps without a cache, over padded inputs, against cached generation over the fused sequence."""
    reader = any_reader
    answers = answer_questions(reader, questions, GenerationSettings(max_tokens=5))
    with torch.inference_mode():
        inputs = padded_inputs(reader, [reader.passages(q) for q in questions])
        tokens = torch.full((len(questions), 1), reader.fusion.start)
        total = torch.zeros(len(questions))
        for _ in range(5):
            logits = reader.fusion.model(**inputs, decoder_input_ids=tokens, use_cache=False).logits[:, -1].float()
            ended = (tokens[:, 1:] == reader.eos).any(1)
            best = logits.log_softmax(-1).max(-1)
            total += best.values.masked_fill(ended, 0.0)
            tokens = torch.cat([tokens, best.indices.masked_fill(ended, reader.fusion.pad)[:, None]], 1)
    assert [a.text for a, *_ in answers] == [reader.text(row[1:]) for row in tokens.tolist()]
    assert [a.log_probability for a, *_ in answers] == pytest.approx(total.tolist(), abs=2e-3)


def test_every_passage_gets_every_score(any_reader: Reader, questions: list[Question]) -> None:
    for question, scores in zip(questions, attention_scores(any_reader, questions, AGGREGATIONS), strict=True):
        passages = question.ctxs or []
        assert set(scores) == (set(AGGREGATIONS) if passages else set())
        assert all(len(values) == len(passages) for values in scores.values())
        assert len(passages) < 2 or len(set(scores["attention"])) == len(passages)


def test_the_folder_gives_the_same_reader(any_reader: Reader, questions: list[Question], tmp_path: Path) -> None:
    any_reader.save(tmp_path)
    again = load_reader(tmp_path)
    again.fusion.eval()
    assert again.settings == any_reader.settings
    for ours, theirs in zip(attention_scores(again, questions), attention_scores(any_reader, questions), strict=True):
        assert ours.get("attention", []) == pytest.approx(theirs.get("attention", []), rel=1e-4)
    answers = [
        [a.text for a, *_ in answer_questions(r, questions, GenerationSettings(max_tokens=4))]
        for r in (again, any_reader)
    ]
    assert answers[0] == answers[1]


def test_likelihood_is_the_loss_of_reading_the_passage_alone(any_reader: Reader, questions: list[Question]) -> None:
    reader, question, target = any_reader, questions[0], [40, 41, 1]
    with torch.inference_mode():
        passages = reader.passages(question)
        alone = [-float(reader.fusion(Batch([[p]], [target]))) for p in passages]
        whole = -float(reader.fusion(Batch([passages], [target])))
        rest = [-float(reader.fusion(Batch([passages[:i] + passages[i + 1 :]], [target]))) for i in range(3)]
    assert likelihoods(reader, question, target, "likelihood") == pytest.approx(alone, rel=1e-4)
    expected = [whole - value for value in rest]
    assert likelihoods(reader, question, target, "leave-one-out") == pytest.approx(expected, abs=1e-3)


def test_bf16_gives_nearly_the_same_scores(any_reader: Reader, questions: list[Question]) -> None:
    exact = attention_scores(any_reader, questions)
    cast_linear_weights(any_reader.fusion.model, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention_scores(any_reader, questions)
        assert len(answer_questions(any_reader, questions, GenerationSettings(beams=2, max_tokens=3))) == len(questions)
    values = [scores["attention"] for scores in exact if scores]
    size = max(abs(value) for row in values for value in row)
    for row, near in zip(values, [scores["attention"] for scores in rounded if scores], strict=True):
        assert near == pytest.approx(row, abs=0.03 * size)


def test_a_bf16_reader_needs_no_autocast_of_its_caller(tmp_path: Path, questions: list[Question]) -> None:
    """The weights of its products are bf16, so a method without autocast would fail on float32 inputs."""
    tiny_reader("t5").save(tmp_path)
    reader = load_inference_reader(tmp_path, 1000, Compute.choose("bf16"))
    inside = load_inference_reader(tmp_path, 1000, Compute.choose("bf16"))
    settings = GenerationSettings(beams=2, max_tokens=3)
    with torch.autocast("cpu", torch.bfloat16):
        expected = attention_scores(inside, questions), answer_questions(inside, questions, settings)
        likely = likelihoods(inside, questions[0], [40, 41, 1], "leave-one-out")
    assert (attention_scores(reader, questions), answer_questions(reader, questions, settings)) == expected
    assert likelihoods(reader, questions[0], [40, 41, 1], "leave-one-out") == likely


def test_byt5_reads_and_writes_bytes(questions: list[Question]) -> None:
    """A token is a byte behind three special ones; no `</s>` at the end of an input, as for the rest of T5's kind."""
    reader = tiny_reader("byt5")
    question = questions[1]
    text = "".join(chr(token - 3) for token in reader.passages(question)[0])
    passage = (question.ctxs or [])[0]
    assert text == f"question: {question.question} title: {passage.title} context: {passage.text}"
    assert reader.target("Ó") == [0xC3 + 3, 0x93 + 3, 1]
    assert reader.text(reader.target("Ó")) == "Ó"


def test_habits_of_generation_are_forgotten(questions: list[Question]) -> None:
    """BART's forced first token and least length are for summaries."""
    reader = tiny_reader("bart")
    plain = answer_questions(reader, questions, GenerationSettings(max_tokens=4))
    reader.fusion.model.generation_config.forced_bos_token_id = 40
    reader.fusion.model.generation_config.no_repeat_ngram_size = 1
    assert answer_questions(reader, questions, GenerationSettings(max_tokens=4)) != plain
    set_plain_generation(reader)
    assert answer_questions(reader, questions, GenerationSettings(max_tokens=4)) == plain

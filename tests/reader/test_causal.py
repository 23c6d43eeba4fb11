"""Causal language models as readers, against one long sequence with an explicit mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fidtools.compute.device import Compute
from fidtools.compute.lengths import Cut
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, FidtoolsError
from fidtools.reader.aggregations import AGGREGATIONS
from fidtools.reader.answering import answer_questions
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.causal_prompt import Blocks, CausalReaderSettings
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.likelihood import likelihoods
from fidtools.reader.network import Batch
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import load_inference_reader, load_reader, reader_from_model
from tests.models import CAUSAL_FAMILIES, VOCABULARY, tiny_causal_reader, word_tokenizer
from tests.reader.slow_attention import captured

ANSWER = [40, 41, 1]


def one_sequence(reader: Reader, tokens: Blocks, output: list[int]) -> Tensor:
    """Logits (tokens of the output, vocabulary) by one sequence without a cache: a mask says who sees whom."""
    leading = reader.fusion.leading
    longest = max(len(block) for block in tokens)
    ids, positions, segments = list(leading), list(range(len(leading))), [-1] * len(leading)
    for number, block in enumerate(tokens):
        first = len(leading) + (longest - len(block) if reader.settings.positions == "end" else 0)
        ids += block
        positions += range(first, first + len(block))
        segments += [number] * len(block)
    tail = [*tokens.tail, *output[:-1]]
    ids += tail
    positions += range(len(leading) + longest, len(leading) + longest + len(tail))
    segments += [-2] * len(tail)
    n = len(ids)
    mask = torch.full((1, 1, n, n), torch.finfo(torch.float32).min)
    for i in range(n):
        for j in range(i + 1):
            if segments[j] in (-1, segments[i]) or segments[i] == -2:
                mask[0, 0, i, j] = 0
    model = reader.fusion.model
    model.set_attn_implementation("slow")
    captured.clear()
    inputs = {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions])}
    logits: Tensor = model(**inputs, attention_mask=mask, use_cache=False).logits
    model.set_attn_implementation("fidtools-blocks")
    return logits[0, -len(output) :]


def slow_scores(reader: Reader, tokens: Blocks, output: list[int], asked: int) -> dict[str, list[float]]:
    """`attention`, `attention-value-norm` and `attention-mass`, passage by passage."""
    with torch.no_grad():
        one_sequence(reader, tokens, output)
    rows = len(output)
    scores = torch.cat([s[:, :, -rows:] for s, _ in captured])  # (layers, heads, rows, keys)
    norms = torch.cat([v.norm(dim=-1) for _, v in captured])[:, :, None]
    keys = scores.shape[-1]
    future = torch.ones(rows, keys, dtype=torch.bool).triu(keys - rows + 1)
    weighted = scores.masked_fill(future, -torch.inf).softmax(-1) * norms
    found: dict[str, list[float]] = {"attention": [], "attention-value-norm": [], "attention-mass": []}
    begin = len(reader.fusion.leading)
    for block in tokens:
        end = begin + len(block)
        found["attention"].append(float(scores[:, :, 0, begin:end].mean()))
        found["attention-value-norm"].append(float(weighted[:, :, 0, begin:end].mean()))
        found["attention-mass"].append(float(weighted[:, :, :, begin + asked : end].sum(-1).mean()))
        begin = end
    return found


@pytest.fixture
def questions(questions: list[Question]) -> list[Question]:
    """Of unequal length, with 3, 1, 4, 0 and 2 passages."""
    questions[2].question = "what"
    return questions


@pytest.fixture(params=[(family, p) for family in CAUSAL_FAMILIES for p in ("begin", "end")], ids="-".join)
def reader(request: pytest.FixtureRequest) -> Reader:
    return tiny_causal_reader(*request.param)


@pytest.fixture
def llama() -> Reader:
    return tiny_causal_reader()


def test_logits_are_those_of_one_long_sequence(reader: Reader, questions: list[Question]) -> None:
    """Several questions together, of unequal tails and answers, with padding."""
    targets = [ANSWER, [1], [50, 51, 52, 1], [40, 1], ANSWER]
    tokens = reader.tokens(questions)
    with torch.no_grad():
        together = reader.fusion.logits(reader.fusion.fuse(tokens), targets)
        for row, blocks, target in zip(together, tokens, targets, strict=True):
            expected = one_sequence(reader, blocks, target)
            torch.testing.assert_close(row[: len(target)], expected, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_one_long_sequence(reader: Reader, questions: list[Question]) -> None:
    """Also through the keys and values of the blocks."""
    tokens, targets = reader.tokens(questions[:3]), [ANSWER, [50, 1], ANSWER]
    model = reader.fusion.model
    reader.fusion(Batch(tokens, targets)).backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for blocks, target in zip(tokens, targets, strict=True):
        logits = one_sequence(reader, blocks, target)
        torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="sum").backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-3, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_scores_are_those_of_one_long_sequence(reader: Reader, questions: list[Question]) -> None:
    outputs = [ANSWER, [50, 1], ANSWER, [1], [51, 52, 53, 1]]
    scores = attention_scores(reader, questions, AGGREGATIONS, outputs)
    for blocks, output, found, question in zip(reader.tokens(questions), outputs, scores, questions, strict=True):
        if not question.ctxs:
            assert found == {}
            continue
        asked = len(reader.tokenizer(f"Question: {question.question}", add_special_tokens=False)["input_ids"])
        for name, values in slow_scores(reader, blocks, output, asked).items():
            assert found[name] == pytest.approx(values, abs=1e-5, rel=1e-5), name


def test_answers_are_the_best_next_tokens_of_one_long_sequence(reader: Reader, questions: list[Question]) -> None:
    answers = answer_questions(reader, questions, GenerationSettings(max_tokens=4))
    for blocks, (answer, *_) in zip(reader.tokens(questions), answers, strict=True):
        tokens: list[int] = []
        total = 0.0
        while len(tokens) < 4 and reader.eos not in tokens:
            with torch.no_grad():
                logits = one_sequence(reader, blocks, [*tokens, 0])[-1].log_softmax(-1)
            tokens.append(int(logits.argmax()))
            total += float(logits.max())
        assert answer.text == reader.text(tokens)
        assert answer.log_probability == pytest.approx(total, abs=1e-4)


@pytest.mark.usefixtures("one_thread")
def test_beams_are_scored_as_the_loss_scores_them(llama: Reader, questions: list[Question]) -> None:
    search = GenerationSettings(beams=4, n_best=4, max_tokens=2)
    found = answer_questions(llama, questions, search)
    for question, answers in zip(questions, found, strict=True):
        assert answers == answer_questions(llama, [question], search)[0]
        values = [answer.log_probability for answer in answers]
        assert values == sorted(values, reverse=True)
        for answer in answers:
            tokens = llama.tokenizer(answer.text, add_special_tokens=False)["input_ids"]
            if len(tokens) == 2:
                with torch.no_grad():
                    loss = float(llama.fusion(Batch([llama.passages(question)], [tokens])))
                assert answer.log_probability == pytest.approx(-loss, abs=1e-4)


def test_likelihood_is_the_loss_of_reading_the_passage_alone(llama: Reader, questions: list[Question]) -> None:
    passages = llama.passages(questions[0])
    with torch.no_grad():
        alone = [-float(llama.fusion(Batch([Blocks([p], passages.tail)], [ANSWER]))) for p in passages]
        whole = -float(llama.fusion(Batch([passages], [ANSWER])))
        rest = [passages[:i] + passages[i + 1 :] for i in range(3)]
        without = [-float(llama.fusion(Batch([Blocks(blocks, passages.tail)], [ANSWER]))) for blocks in rest]
    assert likelihoods(llama, questions[0], ANSWER, "likelihood") == pytest.approx(alone, abs=1e-4)
    expected = [whole - value for value in without]
    assert likelihoods(llama, questions[0], ANSWER, "leave-one-out") == pytest.approx(expected, abs=1e-4)


def test_the_only_passage_left_out_leaves_the_question(llama: Reader, questions: list[Question]) -> None:
    question = questions[1]
    with torch.no_grad():
        whole, nothing = (
            -float(llama.fusion(Batch([blocks], [ANSWER])))
            for blocks in (llama.passages(question), llama.passages_of(question, []))
        )
    assert likelihoods(llama, question, ANSWER, "leave-one-out") == pytest.approx([whole - nothing], abs=1e-4)


@pytest.mark.parametrize(("family", "positions"), [("llama", "begin"), ("gpt2", "begin"), ("llama", "end")])
def test_the_most_attended_passages_are_read(family: str, positions: str, questions: list[Question]) -> None:
    """As if there were no others: where blocks end together, only the distance from their end counts."""
    reader, question = tiny_causal_reader(family, positions, bos=positions == "begin"), questions[2]
    (scores,) = attention_scores(reader, [question])
    best = sorted(range(4), key=lambda i: -scores["attention"][i])[:2]
    fewer = Question(question.id, question.question, ctxs=[(question.ctxs or [])[i] for i in sorted(best)])
    search = GenerationSettings(max_tokens=4)
    ((kept,),), ((read,),) = (answer_questions(reader, [q], search, n) for q, n in ((question, 2), (fewer, None)))
    assert kept.text == read.text
    assert kept.log_probability == pytest.approx(read.log_probability, abs=2e-4)


def test_neither_budget_nor_neighbours_nor_checkpoints_matter(reader: Reader, questions: list[Question]) -> None:
    search = GenerationSettings(max_tokens=3)
    batch = Batch(reader.tokens(questions), [ANSWER] * 5)
    together = attention_scores(reader, questions, AGGREGATIONS, [ANSWER] * 5)
    answers = [a.text for a, *_ in answer_questions(reader, questions, search)]
    loss = reader.fusion(batch)
    loss.backward()
    gradient = next(reader.fusion.parameters()).grad
    reader.fusion.zero_grad()
    reader.fusion.token_budget, reader.fusion.checkpoint_encoder = 1, True
    reader.fusion.train()
    again = reader.fusion(batch)
    again.backward()
    torch.testing.assert_close(again, loss, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(next(reader.fusion.parameters()).grad, gradient, atol=1e-4, rtol=1e-4)
    reader.fusion.eval()
    alone = [attention_scores(reader, [q], AGGREGATIONS, [ANSWER])[0] for q in questions]
    for one, other in zip(together, alone, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert values == pytest.approx(other[name], rel=1e-4, abs=1e-5), name
    assert answers == [answer_questions(reader, [q], search)[0][0].text for q in questions]


def test_one_special_token_stands_in_front_of_all_blocks(llama: Reader, questions: list[Question]) -> None:
    blocks = llama.passages(questions[0])
    assert llama.fusion.leading == [llama.tokenizer.bos_token_id]
    (fused,) = llama.fusion.fuse([blocks])
    assert len(fused) == 1 + sum(len(block) for block in blocks)
    assert all(llama.tokenizer.bos_token_id not in [*block, *blocks.tail] for block in blocks)
    assert tiny_causal_reader(bos=False).fusion.leading == []


def test_training_lowers_the_loss(reader: Reader, questions: list[Question]) -> None:
    batch = Batch(reader.tokens(questions), [ANSWER, [50, 1], [51, 52, 1], [53, 1], [54, 1]])
    optimizer = torch.optim.Adam(reader.fusion.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = reader.fusion(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("positions", ["begin", "end"])
def test_the_folder_gives_the_same_reader(positions: str, questions: list[Question], tmp_path: Path) -> None:
    reader = tiny_causal_reader("qwen3", positions)
    reader.save(tmp_path)
    again = load_reader(tmp_path, n_context=3)
    assert again.settings == CausalReaderSettings(positions=positions, n_context=3)
    assert again.fusion.positions == positions
    again.settings = reader.settings
    assert attention_scores(again, questions, AGGREGATIONS) == attention_scores(reader, questions, AGGREGATIONS)


def test_a_bf16_reader_needs_no_autocast_of_its_caller(tmp_path: Path, questions: list[Question]) -> None:
    exact = tiny_causal_reader("gemma2")
    exact.save(tmp_path)
    rounded = load_inference_reader(tmp_path, 1000, Compute.choose("bf16"))
    scores = [[s.get("attention", []) for s in attention_scores(r, questions)] for r in (exact, rounded)]
    size = max(abs(value) for row in scores[0] for value in row)
    for row, near in zip(*scores, strict=True):
        assert near == pytest.approx(row, abs=0.05 * size)
    assert len(answer_questions(rounded, questions, GenerationSettings(beams=2, max_tokens=3))) == len(questions)
    assert len(likelihoods(rounded, questions[0], ANSWER, "leave-one-out")) == 3


def test_the_prompt() -> None:
    """Blocks with and without titles, truncated; the tail is never truncated; an answer continues it."""
    question = "who wrote it?"
    passages = [Passage("a", "Ada wrote it.", "Ada"), Passage("b", "Nobody.")]

    class Characters:
        def __call__(self, text: Any, max_length: int = 999, **options: Any) -> Any:
            texts = [text] if isinstance(text, str) else text
            ids = [[ord(c) for c in t][:max_length] for t in texts]
            return {"input_ids": ids[0] if isinstance(text, str) else ids}

    def text(ids: list[int]) -> str:
        return "".join(map(chr, ids))

    blocks = CausalReaderSettings(text_maxlength=42).inputs(Characters(), question, passages)
    assert [text(block) for block in blocks] == [
        "Question: who wrote it?\nTitle: Ada\nAda wro",
        "Question: who wrote it?\nNobody.\n",
    ]
    assert text(blocks.tail) == "\nQuestion: who wrote it?\nAnswer:"
    assert [text(b) for b in CausalReaderSettings().inputs(Characters(), question, [])] == ["Question: who wrote it?\n"]
    untitled = CausalReaderSettings(title=False, context_prefix="Text:").inputs(Characters(), question, passages[:1])
    assert text(untitled[0]) == "Question: who wrote it?\nText: Ada wrote it.\n"
    assert CausalReaderSettings(answer_maxlength=5).target(Characters(), "Ada L", 1) == [*map(ord, " Ada"), 1]


def test_a_question_too_long_for_the_model_is_cut() -> None:
    reader = tiny_causal_reader("gpt2")
    tokens = reader.passages(Question("q", "who " * 220, ctxs=[]))
    leading, answer = len(reader.fusion.leading), reader.settings.answer_maxlength
    assert [leading, *map(len, tokens), len(tokens.tail), answer] == [1, 98, 99, 50]  # of 256 positions
    assert reader.cuts.kinds["questions"] == Cut(texts=1, cut=1, tokens=123, most=123)


def test_a_model_that_sees_later_tokens_is_refused() -> None:
    import transformers as hf

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = hf.BertConfig(vocab_size=len(VOCABULARY), **sizes)
    with pytest.raises(FidtoolsError, match="BertLMHeadModel"):
        reader_from_model(hf.BertLMHeadModel(config), word_tokenizer())


def test_a_model_without_keys_and_values_is_refused() -> None:
    import transformers as hf

    config = hf.MambaConfig(vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(FidtoolsError, match="MambaForCausalLM"):
        reader_from_model(hf.MambaForCausalLM(config), word_tokenizer())


@pytest.mark.parametrize(
    "layers", [["linear_attention", "full_attention"], ["full_attention", "linear_attention"]], ids="-".join
)
def test_a_model_that_keeps_states_in_some_layers_is_refused(layers: list[str]) -> None:
    """Qwen3-Next's kind: such a layer takes no cache of keys and values."""
    import transformers as hf

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "intermediate_size": 16}
    linear |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "head_dim": 8, "num_experts": 0}
    config = hf.Qwen3NextConfig(vocab_size=len(VOCABULARY), layer_types=layers, **sizes, **linear)
    with pytest.raises(FidtoolsError, match="Qwen3NextForCausalLM: keeps another state than the keys and values"):
        reader_from_model(hf.Qwen3NextForCausalLM(config), word_tokenizer())


@pytest.mark.parametrize("family", ["Bloom", "Mpt", "Falcon"])
def test_a_model_that_counts_positions_itself_is_refused(family: str) -> None:
    """Attention with linear biases weakens with the number of tokens between, so that the first passages would fade."""
    import transformers as hf

    sizes = {"hidden_size": 16, "n_layer": 2, "n_head": 2}
    own = {"Mpt": {"d_model": 16, "n_layers": 2, "n_heads": 2}}
    own["Falcon"] = {"alibi": True, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= own.get(family, {})
    config = getattr(hf, f"{family}Config")(vocab_size=len(VOCABULARY), **sizes)
    with pytest.raises(FidtoolsError, match=f"{family}ForCausalLM: counts positions itself"):
        reader_from_model(getattr(hf, f"{family}ForCausalLM")(config), word_tokenizer())


def test_wrong_positions_are_an_error(tmp_path: Path) -> None:
    tiny_causal_reader().save(tmp_path)
    (tmp_path / "fidtools.json").write_text('{"reader": {"positions": "middle"}}')
    with pytest.raises(DataError, match="field 'positions': must be one of begin, end"):
        load_reader(tmp_path)

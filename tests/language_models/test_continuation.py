"""Batched decoding equals a slow loop without cache, padding or batch, for every family; draws do not depend on it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fidtools.errors import FidtoolsError
from fidtools.language_models.continuation import Decoding, Named, check_continues, continuations
from fidtools.language_models.model import LanguageModel

TEXTS = [
    "Title: Ada Lovelace\nAda wrote the first program.",
    "Title: Ada",
    "Title: Paris is the capital of France. Please write a question based on this passage. what is it?",
    "Title: who",
]


@pytest.fixture
def model(network: Any, tokenizer: Any) -> LanguageModel:
    return LanguageModel(network, tokenizer, 256)


def prompts(model: LanguageModel, texts: list[str] = TEXTS) -> list[Named]:
    return [Named(text, model.tokenizer(text)["input_ids"]) for text in texts]


def slow_greedy(model: LanguageModel, ids: list[int], most: int, stop: str | None = None) -> str:
    """One token after the other, each from the whole text in front of it."""
    made: list[int] = []
    for _ in range(most):
        with torch.no_grad():
            token = int(model.network(input_ids=torch.tensor([ids + made])).logits[0, -1].argmax())
        if token == model.tokenizer.eos_token_id:
            break
        made.append(token)
        if stop is not None and stop in model.tokenizer.decode(made):
            break
    return str(model.tokenizer.decode(made, skip_special_tokens=True))


def never(text: str) -> bool:
    return False


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_every_family_equals_one_prompt_at_a_time(model: LanguageModel, budget: int) -> None:
    check_continues(model.network)
    given = prompts(model)
    expected = [slow_greedy(model, prompt.ids, 12) for prompt in given]
    assert continuations(model, given, Decoding(12), never, budget) == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("family", ["Gemma3Text", "Cohere2", "Mistral"])
@pytest.mark.parametrize("lengths", [(3, 40), (40, 1, 3), (2, 3, 4)])
def test_padding_is_not_counted_in_a_sliding_window(family: str, lengths: tuple[int, ...], tokenizer: Any) -> None:
    """A layer with a window sees the last tokens of a prompt, however long the prompts beside it are."""
    import transformers as hf

    torch.manual_seed(0)
    size = len(tokenizer)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8, "initializer_range": 0.3}
    config = getattr(hf, f"{family}Config")(vocab_size=size, pad_token_id=0, **sizes, **more)
    if family != "Mistral":
        config.layer_types = ["sliding_attention", "full_attention"] * 2
    network = getattr(hf, "Gemma3ForCausalLM" if family == "Gemma3Text" else f"{family}ForCausalLM")(config).eval()
    model, beginning = LanguageModel(network, tokenizer, 256), list(range(5, 15))
    given = [Named(str(n), beginning + [20 + (n + i) % (size - 20) for i in range(n)]) for n in lengths]
    expected = [slow_greedy(model, prompt.ids, 12) for prompt in given]
    assert continuations(model, given, Decoding(12), never, 10_000) == expected


@pytest.mark.parametrize("family", ["Mamba", "Qwen3Next"])
def test_a_model_with_a_recurrent_state_is_refused(family: str) -> None:
    import transformers as hf

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 30}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 32}
    linear = {f"linear_{what}": 2 for what in ("num_key_heads", "num_value_heads")}
    linear |= {f"linear_{what}": 8 for what in ("key_head_dim", "value_head_dim")}
    layers = {"layer_types": ["linear_attention", "full_attention"], "num_experts": 0}
    own = {"Mamba": {"state_size": 4}, "Qwen3Next": {**heads, **linear, **layers}}[family]
    network = getattr(hf, f"{family}ForCausalLM")(getattr(hf, f"{family}Config")(**sizes, **own)).eval()
    with pytest.raises(FidtoolsError, match=f"{family}ForCausalLM: keeps another state than the keys and values"):
        check_continues(network)


@pytest.mark.parametrize("family", ["Bart", "Marian", "Roberta"])
def test_a_model_that_counts_its_positions_is_refused(family: str) -> None:
    """In front of a prompt of a batch, padding would be counted as tokens; RoBERTa counts from another number."""
    import transformers as hf

    sizes: dict[str, Any] = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 1}
    own = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    if family != "Roberta":
        own = {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16}
    config = getattr(hf, f"{family}Config")(**sizes, **own, is_decoder=True)
    network = getattr(hf, f"{family}ForCausalLM")(config).eval()
    with pytest.raises(FidtoolsError, match=f"{family}ForCausalLM: counts the positions of tokens itself"):
        check_continues(network)


def test_prompts_without_a_common_beginning(model: LanguageModel) -> None:
    given = prompts(model, ["Ada wrote the first program.", "who", "Paris is the capital of France. " * 5])
    expected = [slow_greedy(model, prompt.ids, 8) for prompt in given]
    assert continuations(model, given, Decoding(8), never, 10_000) == expected


def test_a_row_ends_when_it_is_complete_and_the_others_go_on(model: LanguageModel) -> None:
    given = prompts(model)
    whole = [slow_greedy(model, prompt.ids, 12) for prompt in given]
    stop = whole[0][2]
    expected = [slow_greedy(model, prompt.ids, 12, stop) for prompt in given]
    assert continuations(model, given, Decoding(12), lambda text: stop in text, 10_000) == expected
    assert expected != whole


def test_a_row_ends_at_the_end_of_sequence_token(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (prompt, *_) = prompts(model)
    first, second = (len(slow_greedy(model, prompt.ids, n)) for n in (2, 3))
    assert first <= second
    with torch.no_grad():
        token = int(model.network(input_ids=torch.tensor([prompt.ids])).logits[0, -1].argmax())
    monkeypatch.setattr(model.network.generation_config, "eos_token_id", [token])
    assert continuations(model, [prompt], Decoding(12), never, 10_000) == [""]


def test_what_is_drawn_depends_on_seed_and_name_only(model: LanguageModel) -> None:
    given = prompts(model)
    drawing = Decoding(12, temperature=1.0, seed=5)
    together = continuations(model, given, drawing, never, 10_000)
    assert [continuations(model, [prompt], drawing, never, 10_000)[0] for prompt in given] == together
    assert continuations(model, given[::-1], drawing, never, 60)[::-1] == together
    renamed = [Named(f"{prompt.name} again", prompt.ids) for prompt in given]
    assert continuations(model, renamed, drawing, never, 10_000) != together
    assert continuations(model, given, Decoding(12, 1.0, seed=6), never, 10_000) != together


def test_tokens_are_drawn_as_often_as_the_softmax_says(model: LanguageModel) -> None:
    (prompt, *_) = prompts(model, ["Ada"])
    with torch.no_grad():
        logits = model.network(input_ids=torch.tensor([prompt.ids])).logits[0, -1]
    expected = (logits / 3.0).softmax(-1)
    given = [Named(str(number), prompt.ids) for number in range(4000)]
    drawn = continuations(model, given, Decoding(1, temperature=3.0), never, 10_000)
    likely = expected.topk(5)
    for token, share in zip(likely.indices.tolist(), likely.values.tolist(), strict=True):
        text = model.tokenizer.decode([token], skip_special_tokens=True)
        same = sum(
            expected[other].item()
            for other in range(len(expected))
            if model.tokenizer.decode([other], skip_special_tokens=True) == text
        )
        assert share <= same
        assert drawn.count(text) / 4000 == pytest.approx(same, abs=0.04)


def test_no_prompts(model: LanguageModel) -> None:
    assert continuations(model, [], Decoding(), never, 100) == []

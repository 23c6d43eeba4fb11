"""Questions about one passage share its keys and values: the scores are those of one prompt at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from fidtools.language_models import likelihood
from fidtools.language_models.likelihood import log_likelihoods
from fidtools.language_models.prompts import Encoded
from fidtools.language_models.shared_heads import can_share, share_heads
from tests.language_models.test_likelihood import slow_log_likelihood

TINY = {"vocab_size": 90, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
LLAMA_LIKE = TINY | {"intermediate_size": 32, "num_key_value_heads": 1, "max_position_embeddings": 128}
OTHERS: dict[str, Callable[[], Any]] = {
    "a window of 8": lambda: transformers.MistralConfig(**LLAMA_LIKE, sliding_window=8),
    "windows in some layers": lambda: transformers.Gemma3TextConfig(
        **LLAMA_LIKE, head_dim=8, sliding_window=8, sliding_window_pattern=2
    ),
    "another attention": lambda: transformers.GPTNeoXConfig(**TINY, intermediate_size=32),
}
UNSHARED: dict[str, Callable[[], Any]] = {
    "positions by the mask": lambda: transformers.BloomConfig(vocab_size=90, hidden_size=16, n_layer=2, n_head=2),
    "positions behind the cache": lambda: transformers.BartConfig(
        vocab_size=90, d_model=16, decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=32, is_decoder=True
    ),
    "positions behind a padding id": lambda: transformers.RobertaConfig(
        **TINY, intermediate_size=32, is_decoder=True, max_position_embeddings=128
    ),
    "angles by the length": lambda: transformers.LlamaConfig(
        **LLAMA_LIKE, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    ),
    "recurrent": lambda: transformers.MambaConfig(vocab_size=90, hidden_size=16, num_hidden_layers=2),
    "linear attention": lambda: transformers.Qwen3NextConfig(
        **LLAMA_LIKE, layer_types=["linear_attention", "full_attention", "full_attention"], num_experts=2,
        num_experts_per_tok=1,
        linear_num_key_heads=1, linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=8,
    ),
}  # fmt: skip


def made(config: Any) -> Any:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for weight in model.parameters():
        weight.data.mul_(3)  # so that what stands in front matters
    return model


def prompts() -> list[Encoded]:
    """Five questions each about three passages of 40, 31 and 22 tokens, two about none, and one passage asked once."""
    generator = torch.Generator().manual_seed(1)

    def draw(count: int) -> list[int]:
        return torch.randint(3, 90, (count,), generator=generator).tolist()

    found = []
    for length in (40, 31, 22):
        passage = draw(length)
        found += [Encoded([*passage, *draw(4), *draw(3 + n)], length + 4) for n in range(5)]
    found += [Encoded(draw(9), 4), Encoded(draw(6), 5), Encoded(draw(50), 44)]
    order = torch.randperm(len(found), generator=generator).tolist()
    return [found[place] for place in order]


def check(model: Any, budget: int, *, shared: bool) -> None:
    asked = prompts()
    expected = [slow_log_likelihood(model, prompt) for prompt in asked]
    computed: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, ids, __: computed.append(ids[0].numel()))
    try:
        assert log_likelihoods(model, asked, budget) == pytest.approx(expected, abs=2e-5, rel=2e-5)
    finally:
        hook.remove()
    if budget > 1000:
        assert (sum(computed) < 0.7 * sum(map(len, asked))) == shared


@pytest.mark.parametrize("budget", [1, 120, 10_000])
def test_every_family_equals_one_prompt_at_a_time(network: Any, budget: int) -> None:
    assert can_share(network)
    check(network, budget, shared=True)


@pytest.mark.parametrize("name", OTHERS)
def test_windows_and_other_positions(name: str) -> None:
    model = made(OTHERS[name]())
    assert can_share(model)
    check(model, 10_000, shared=True)


@pytest.mark.parametrize("name", UNSHARED)
def test_what_keeps_more_than_keys_and_values_shares_nothing(name: str) -> None:
    model = made(UNSHARED[name]())
    assert not can_share(model)
    check(model, 10_000, shared=False)


def test_heads_end_before_the_token_that_predicts_the_target() -> None:
    same = [Encoded([1, 2, 3, 4, 5], 4), Encoded([1, 2, 3, 4, 5], 4), Encoded([1, 2, 3, 4, 6], 4)]
    groups, alone = share_heads([*same, Encoded([1, 9, 9], 1), Encoded([], 0), Encoded([7], 0)])
    assert [(group.head, sorted(group.rows)) for group in groups] == [([1, 2, 3], [0, 1, 2])]
    assert alone == [3, 4, 5]


def test_a_passage_that_begins_alike_does_not_shorten_the_head_of_many() -> None:
    """Four prompts share 20 tokens, a fifth 15 of them: with it, five times 15 tokens would be shared instead of 80."""
    many = [Encoded([*range(20), 50 + n, 60, 61], 22) for n in range(4)]
    like = Encoded([*range(15), 90, 91, 92], 17)
    groups, alone = share_heads([*many, like])
    assert ([(len(group.head), group.rows) for group in groups], alone) == ([(20, [0, 1, 2, 3])], [4])
    groups, alone = share_heads([many[0], like])
    assert ([(len(group.head), group.rows) for group in groups], alone) == ([(15, [0, 1])], [])


@pytest.mark.parametrize("per_token", [False, True])
def test_a_target_without_tokens_is_certain(network: Any, per_token: bool) -> None:
    asked = [Encoded([3, 4, 5], 3), Encoded([3, 4, 5, 6], 4)]
    assert log_likelihoods(network, asked, 100, per_token=per_token) == [0.0, 0.0]
    assert log_likelihoods(network, asked, 1, per_token=per_token) == [0.0, 0.0]


def test_the_order_of_the_prompts_changes_the_groups_little() -> None:
    asked = prompts()
    groups, alone = share_heads(asked)
    backwards, _ = share_heads(asked[::-1])
    assert [group.head for group in groups] == [group.head for group in backwards]
    assert sorted(len(group.rows) for group in groups) == [5, 5, 5]
    assert len(alone) == 3


def test_a_passage_is_read_once(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = prompts()
    seen = []
    values = likelihood._values
    monkeypatch.setattr(likelihood, "_values", lambda *a: (seen.extend(a[3]), values(*a))[1])
    log_likelihoods(network, asked, 10_000)
    assert sorted(seen) == [0, 0, 0, *[22] * 5, *[31] * 5, *[40] * 5]

"""Likelihoods equal a slow loop over one prompt at a time, whatever the batch; prompts are cut and tokenised right."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fidtools.data.prompt_templates import DEFAULT_PROMPTS, check_template
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError, UsageError
from fidtools.language_models.likelihood import log_likelihoods
from fidtools.language_models.prompts import Encoded, Prompt, PromptTokenizer, through_chat

PASSAGES = [
    Passage("a", "Ada wrote the first program.", "Ada Lovelace"),
    Passage("b", "Paris is the capital of France. " * 4, "Paris"),
    Passage("c", "", ""),
    Passage("d", "the first question is what the passage based on this is", "Question"),
]
ASKED = Question("q", "who wrote the first program?", location=Location("q.jsonl", 3))


def encode(tokenizer: Any, prompt: Prompt = Prompt(), target: str = " Ada Lovelace") -> list[Encoded]:  # noqa: B008
    return PromptTokenizer(tokenizer, prompt, 256).encode(ASKED, PASSAGES, target)


def slow_log_likelihood(network: Any, prompt: Encoded) -> float:
    """Token by token, each predicted from everything in front of it, in float64."""
    total = 0.0
    for place in range(prompt.start, len(prompt.ids)):
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([prompt.ids[:place]])).logits[0, -1]
        total += float(logits.double().log_softmax(-1)[prompt.ids[place]])
    return total


@pytest.mark.parametrize("budget", [1, 150, 10_000])
def test_every_family_equals_one_prompt_at_a_time(network: Any, tokenizer: Any, budget: int) -> None:
    prompts = encode(tokenizer)
    expected = [slow_log_likelihood(network, prompt) for prompt in prompts]
    assert log_likelihoods(network, prompts, budget) == pytest.approx(expected, abs=1e-5, rel=1e-5)
    tokens = [len(prompt.target) for prompt in prompts]
    means = [value / count for value, count in zip(expected, tokens, strict=True)]
    assert log_likelihoods(network, prompts, budget, per_token=True) == pytest.approx(means, abs=1e-5, rel=1e-5)


def test_the_order_of_prompts_changes_no_score(network: Any, tokenizer: Any) -> None:
    prompts = encode(tokenizer)
    forwards = log_likelihoods(network, prompts, 300)
    assert log_likelihoods(network, prompts[::-1], 300)[::-1] == pytest.approx(forwards, abs=1e-5)


def test_the_tokenizers_padding_side_changes_nothing(network: Any, tokenizer: Any) -> None:
    found = []
    for side in ("left", "right"):
        tokenizer.padding_side = side
        found.append(log_likelihoods(network, encode(tokenizer), 10_000))
    assert found[0] == found[1]


def test_target_tokens_are_those_of_the_running_text(tokenizer: Any) -> None:
    for prompt in encode(tokenizer):
        whole = tokenizer.decode(prompt.ids)
        assert whole.endswith("Answer: Ada Lovelace")
        assert tokenizer.decode(prompt.target) == " Ada Lovelace"
        assert prompt.ids == tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_a_token_across_the_border_belongs_to_the_target(tokenizer: Any) -> None:
    """The template ends inside what the tokenizer makes one token: none of the target's characters is lost."""
    (prompt, *_) = encode(tokenizer, Prompt(template="{text}{question} Ans"), "wer: Ada")
    assert tokenizer.decode(prompt.target).endswith("wer: Ada")
    assert tokenizer.decode(prompt.ids[: prompt.start]) in tokenizer.decode(prompt.ids)


def test_texts_are_cut_and_counted_but_never_question_or_target(tokenizer: Any) -> None:
    cutter = PromptTokenizer(tokenizer, Prompt(text_maxlength=5), 256)
    prompts = cutter.encode(ASKED, PASSAGES, " Ada Lovelace")
    assert cutter.cuts.kinds["passages"].cut == 3
    first = tokenizer(PASSAGES[1].text, add_special_tokens=False)["input_ids"][:5]
    kept = tokenizer.decode(prompts[1].ids)
    assert tokenizer.decode(first) in kept
    assert "who wrote the first program?\nAnswer: Ada Lovelace" in kept


def test_what_the_model_cannot_read_is_cut_from_the_text(tokenizer: Any) -> None:
    longest = len(encode(tokenizer)[2].ids) + 20
    prompts = PromptTokenizer(tokenizer, Prompt(), longest).encode(ASKED, PASSAGES, " Ada Lovelace")
    assert all(len(prompt.ids) <= longest for prompt in prompts)
    assert all(tokenizer.decode(p.ids).endswith("who wrote the first program?\nAnswer: Ada Lovelace") for p in prompts)
    with pytest.raises(DataError, match=r"^q.jsonl:3: field 'question': takes \d+ tokens .* than the model's 10"):
        PromptTokenizer(tokenizer, Prompt(), 10).encode(ASKED, PASSAGES, " Ada Lovelace")


def test_characters_of_several_tokens_are_cut_too(tokenizer: Any) -> None:
    """A cut inside such a character takes all of it, and ends."""
    passages = [Passage("p", "日本語😀" * 20)]
    shortest = len(PromptTokenizer(tokenizer, Prompt(text_maxlength=1000), 10_000).encode(ASKED, passages, " Ada")[0])
    for longest in range(shortest - 40, shortest):
        (prompt,) = PromptTokenizer(tokenizer, Prompt(text_maxlength=1000), longest).encode(ASKED, passages, " Ada")
        assert longest - 12 <= len(prompt) <= longest
        assert tokenizer.decode(prompt.ids).endswith("Answer: Ada")


def test_one_beginning_of_sequence_token_where_the_tokenizer_adds_one(tokenizer: Any) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    rust = type(tokenizer._tokenizer).from_str(tokenizer._tokenizer.to_str())
    rust.post_processor = TemplateProcessing(single="<bos> $A <eos>", special_tokens=[("<bos>", 0), ("<eos>", 1)])
    adds = PreTrainedTokenizerFast(tokenizer_object=rust, bos_token="<bos>", eos_token="<eos>")
    for plain, marked in zip(encode(tokenizer), encode(adds), strict=True):
        assert marked.ids == [0, *plain.ids]
        assert marked.target == plain.target


def test_chat_prompts_go_through_the_models_template(tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="no chat template"):
        encode(tokenizer, Prompt(chat=True))
    tokenizer.chat_template = (
        "{% for m in messages %}<bos>{{ m['role'] }}\n{{ m['content'] }}<eos>{% endfor %}"
        "{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
    )
    try:
        (prompt, *_) = encode(tokenizer, Prompt("question", DEFAULT_PROMPTS["question"], chat=True), " what is it?")
    finally:
        tokenizer.chat_template = None
    assert tokenizer.decode(prompt.ids[: prompt.start]).endswith("Question:<eos><bos>assistant\n")
    assert tokenizer.decode(prompt.target) == "what is it?"


def test_chat_templates_get_a_fixed_date_and_no_reasoning(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    template = (
        "{{ strftime_now('%d %b %Y') }}: {{ messages[0]['content'] }}\n"
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", template)
    assert through_chat(tokenizer, "who?") == "26 Jul 2024: who?\n<think></think>"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{text} {answer}", "unknown field {answer}"),
        ("{text.__class__} {question}", "unknown field {text.__class__}"),
        ("{text:>9999999999} {question}", "neither a format nor a conversion"),
        ("{text!r} {question}", "neither a format nor a conversion"),
        ("{text} {", "malformed template"),
        ("{title} {question}", "the field {text} is missing"),
        ("{text}", "the field {question} is missing"),
    ],
)
def test_templates_take_named_fields_only(template: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_template(template, "answer")
    assert problem in str(caught.value)

"""Rerankers that answer with one of two words, such as Qwen3-Reranker: causal language models without a new head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fidtools.compute.batching import pad_sequences, padding_id
from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.lengths import CutCounter, fit_text, limited
from fidtools.compute.loading import load_config, load_network
from fidtools.compute.positions import max_positions
from fidtools.compute.selected_logits import logits_only_at
from fidtools.compute.special_tokens import leading_special_tokens
from fidtools.compute.tokenizers import load_tokenizer
from fidtools.data.prompt_templates import (
    RERANKER_FIELDS,
    RERANKER_INSTRUCTION,
    RERANKER_PROMPT,
    RERANKER_WORDS,
    check_fields,
)
from fidtools.errors import UsageError, shorten
from fidtools.teachers.interface import TeacherSettings, TokenPair

MAXLENGTH = 8192
"""Tokens of a prompt, as in Qwen3-Reranker's model card."""


@dataclass(frozen=True)
class RerankerPrompt:
    """What a reranker reads, and the two words between which it chooses: relevant, not relevant."""

    template: str = RERANKER_PROMPT
    instruction: str = RERANKER_INSTRUCTION
    words: tuple[str, str] = RERANKER_WORDS

    def __post_init__(self) -> None:
        check_fields("--prompt", self.template, RERANKER_FIELDS, ("question", "passage"))

    def text(self, question: str, passage: str) -> str:
        """The prompt of one pair."""
        return self.template.format(instruction=self.instruction, question=question, passage=passage)


class WordReranker:
    """The score of a pair is logit(yes) − logit(no) of the token behind its prompt, so σ(score) is P(yes).

    P(yes) is what Qwen3-Reranker's model card computes: the softmax over the logits of both words.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompt: RerankerPrompt,
        settings: TeacherSettings,
        *,
        compute: Compute | None = None,
    ) -> None:
        self.compute = compute or Compute.float32()
        self.model = model.to(device=self.compute.device, dtype=self.compute.dtype).requires_grad_(False)
        self.module: nn.Module = self.model
        self.tokenizer, self.prompt, self.settings = tokenizer, prompt, settings
        self.words = [_token(tokenizer, word) for word in prompt.words]
        if self.words[0] == self.words[1]:
            raise UsageError(f"--words {','.join(prompt.words)}: both are one token of this model")
        self._prefix = leading_special_tokens(tokenizer)
        self.cuts = CutCounter()

    def tokenize(self, questions: Sequence[str], passages: Sequence[str]) -> list[TokenPair]:
        """Token ids of the prompts, without segments; passages are cut where a prompt exceeds `maxlength`.

        Raises UsageError when a prompt is too long without its passage.
        """
        pairs, lost = [], []
        for question, passage in zip(questions, passages, strict=True):
            ids, cut = self._fitting(question, passage)
            pairs.append((ids, list[int]()))
            lost.append(cut)
        self.cuts.add("passages", len(passages), [tokens for tokens in lost if tokens])
        return pairs

    def _fitting(self, question: str, passage: str) -> tuple[list[int], int]:
        """The tokens of a prompt, and how many of its passage's were cut."""
        most = self.settings.maxlength
        ids, lost = fit_text(self.tokenizer, passage, most, lambda passage: self._encode(question, passage))
        if len(ids) > most:
            problem = f"a question and its prompt take {len(ids)} tokens, more than {most}"
            raise UsageError(f"{problem}: {shorten(question)}")
        return ids, lost

    def _encode(self, question: str, passage: str) -> list[int]:
        ids = self.tokenizer(self.prompt.text(question, passage), add_special_tokens=False)["input_ids"]
        return [*self._prefix, *ids]

    def logits(self, pairs: Sequence[TokenPair]) -> Tensor:
        """logit(yes) − logit(no) of each pair, (n,), float32.

        Padding is on the right, where a causal model never sees it, so the tokenizer's padding side does not matter.
        """
        ids, _ = pad_sequences([pair[0] for pair in pairs], padding_id(self.tokenizer))
        last = [row * ids.shape[1] + len(pair[0]) - 1 for row, pair in enumerate(pairs)]
        device = self.compute.device
        head = self.model.get_output_embeddings().register_forward_hook(self._of_words)
        try:
            with logits_only_at(self.model, torch.tensor(last, device=device)):
                logits: Tensor = self.model(input_ids=ids.to(device), use_cache=False).logits  # (1, n, 2)
        finally:
            head.remove()
        return logits[0, :, 0] - logits[0, :, 1]

    def _of_words(self, head: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The logits of the two words alone, in float32: in bf16 many scores would tie."""
        assert isinstance(head, nn.Linear)
        bias = None if head.bias is None else head.bias[self.words].float()
        return nn.functional.linear(inputs[0].float(), head.weight[self.words].float(), bias)

    def save(self, folder: Path) -> None:
        """Not done: nothing trains it."""
        raise NotImplementedError("a reranker that answers with words is not trained here")


def answers_with_words(name: str | Path) -> bool:
    """Whether the model of that name is a causal language model, which has no classification head."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    folder = resolve_model(name)
    if (folder / "teacher.json").exists():
        return False
    with loading(name):
        kinds = load_config(name, folder).architectures or []
    return any(kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for kind in kinds)


def load_word_reranker(
    name: str | Path, prompt: RerankerPrompt, *, maxlength: int | None = None, compute: Compute | None = None
) -> WordReranker:
    """A causal language model as a reranker. Raises FidtoolsError when it cannot be loaded, UsageError for words that
    are not one token each.
    """
    from transformers import AutoModelForCausalLM

    folder = resolve_model(name)
    with loading(name):
        config = load_config(name, folder)
        model = load_network(name, folder, AutoModelForCausalLM, config)
        tokenizer = load_tokenizer(name, folder, config, rows=model.get_input_embeddings().num_embeddings)
        length = limited("maxlength", MAXLENGTH, maxlength, max_positions(model, "decoder"))
        settings = TeacherSettings(kind="words", maxlength=length)
        reranker = WordReranker(model.eval(), tokenizer, prompt, settings, compute=compute)
        with torch.inference_mode():  # a model that cannot compute is known before any work
            reranker.logits(reranker.tokenize(["a"], ["a"]))
    reranker.cuts = CutCounter()
    return reranker


def _token(tokenizer: Any, word: str) -> int:
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise UsageError(f"--words: {word!r} is {len(ids)} tokens of this model, not one")
    if ids[0] == tokenizer.unk_token_id:
        raise UsageError(f"--words: {word!r} is no word of this model's tokenizer", hint="is it a reranker at all?")
    return int(ids[0])

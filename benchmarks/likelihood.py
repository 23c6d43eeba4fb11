"""`score-likelihood` by a causal language model beside the plain way, on real questions and passages, in turns.

    OMP_NUM_THREADS=1 python -m benchmarks.likelihood RANKED.jsonl [--model smollm] [--of question|answer]
        [--questions 32] [--n-context 8] [--repeats 2]

The plain way: one call a question with its passages padded to the longest, in float32, and the logits of all positions.
Questions that stand together in RANKED.jsonl and list the same passages show what sharing them saves: take those of one
document after another. The clock (processor time) leaves out loading and tokenisation.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import islice
from typing import Any
from unittest import mock

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from benchmarks.reader import peak
from benchmarks.timing import in_turns
from fidtools.commands.score_likelihood import LM_TOKEN_BUDGET
from fidtools.compute.device import Compute
from fidtools.data.prompt_templates import DEFAULT_PROMPTS
from fidtools.data.read import read_questions
from fidtools.language_models import likelihood
from fidtools.language_models.model import LanguageModel, load_language_model
from fidtools.language_models.prompts import Encoded, Prompt, PromptTokenizer


def plain(model: Any, questions: list[list[Encoded]]) -> list[float]:
    """What one writes first."""
    values = []
    for prompts in questions:
        width = max(map(len, prompts))
        ids = torch.tensor([prompt.ids + [0] * (width - len(prompt)) for prompt in prompts])
        mask = torch.tensor([[1] * len(prompt) + [0] * (width - len(prompt)) for prompt in prompts])
        with torch.inference_mode():
            found = model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1)
        for row, prompt in enumerate(prompts):
            places = range(prompt.start, len(prompt))
            values.append(sum(float(found[row, place - 1, prompt.ids[place]]) for place in places))
    return values


def flop(model: LanguageModel, prompts: list[Encoded]) -> float:
    """Multiplications and additions of the products with weights: all tokens, and the targets' logits."""
    embeddings = model.network.get_input_embeddings().weight
    weights = sum(p.numel() for p in model.network.parameters() if p.ndim == 2) - embeddings.numel()
    targets = sum(len(prompt.target) for prompt in prompts)
    return 2.0 * (weights * sum(map(len, prompts)) + embeddings.numel() * targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ranked")
    parser.add_argument("--model", default="smollm")
    parser.add_argument("--of", default="question", choices=["question", "answer"])
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--n-context", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    float32 = load_language_model(options.model)
    bf16 = load_language_model(options.model, Compute.choose("bf16"))
    tokenizer = PromptTokenizer(bf16.tokenizer, Prompt(options.of, DEFAULT_PROMPTS[options.of]), bf16.most_tokens)
    questions = []
    for question in islice(read_questions(options.ranked), options.questions):
        target = f" {question.question if options.of == 'question' else question.gold_answer()}"
        questions.append(tokenizer.encode(question, question.require_ctxs()[: options.n_context], target))
    prompts = [prompt for question in questions for prompt in question]

    def alone() -> list[float]:
        with mock.patch.object(likelihood, "can_share", return_value=False):
            return likelihood.log_likelihoods(bf16.network, prompts, LM_TOKEN_BUDGET)

    works = {
        "plain, float32": lambda: plain(float32.network, questions),
        "plain, bf16": lambda: plain(bf16.network, questions),
        "fidtools, nothing shared": alone,
        "fidtools": lambda: likelihood.log_likelihoods(bf16.network, prompts, LM_TOKEN_BUDGET),
    }
    timed = {name: processor for name, (_, processor) in in_turns(works, options.repeats).items()}
    most, work = peak(torch.bfloat16, 3, time.process_time), flop(bf16, prompts) / 1e12
    print(f"{len(questions)} questions, {len(prompts)} passages, {sum(map(len, prompts))} tokens")
    print(f"bf16 products peak at {most:.3f} TFLOP/s\n\n| | times the plain way | share of the peak |\n|---|---|---|")
    for name, seconds in timed.items():
        share = f"{work / seconds / most:.0%}" if name == "fidtools, nothing shared" else ""
        print(f"| {name} | {timed['plain, float32'] / seconds:.1f} × | {share} |")


if __name__ == "__main__":
    main()

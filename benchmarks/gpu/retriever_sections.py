"""The retriever on a GPU: encoding, beside sentence-transformers, and training."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, NamedTuple

import torch

from benchmarks.gpu.bench import BUDGETS, Bench, best_seconds, marginal, memory
from benchmarks.gpu.library import PassageEncoder, first_question, passages_in, run
from benchmarks.gpu.reader_sections import train_command
from benchmarks.reader import encoder_flop

REPEATS = 2
THEIR_BATCHES = (32, 512)  # sentence-transformers' default, and one for a large GPU


class Load(NamedTuple):
    """Of the passages that are embedded, the mean tokens and products."""

    tokens: float
    flop: float

    def row(self, passages_per_second: float) -> dict[str, Any]:
        return {
            "rate": passages_per_second * self.tokens,
            "unit": "tokens/s",
            "tflops": passages_per_second * self.flop / 1e12,
            "memory": memory(),
        }


def embed(bench: Bench) -> None:
    passages = passages_in(bench.work / "few-passages.jsonl")
    passages_in(bench.work / "many-passages.jsonl")
    load = _stages(bench, passages)
    few, many = bench.sizes.few_passages, bench.sizes.many_passages

    def work(size: str) -> None:
        files = [bench.work / f"{size}-passages.jsonl", "-o", bench.work / "embedded.npy"]
        run("embed", *files, "--retriever", bench.work / "retriever", "-q")
        for file in bench.work.glob("embedded*"):
            file.unlink()

    for name in bench.commands("embed"):
        with bench.attempt(name):
            rate = 1 / marginal(work, few, many)
            bench.row(name, **load.row(rate), note=f"{few:,} to {many:,} passages of {load.tokens:.0f} tokens")
    with bench.attempt("sentence-transformers"):
        _sentence_transformers(bench, passages, load)


def _stages(bench: Bench, passages: list[Any]) -> Load:
    """The tokenizer and the encoder alone."""
    encoder = PassageEncoder(bench.work / "retriever")
    rows = encoder.tokens(passages)
    lengths = [len(row) for row in rows]
    load = Load(sum(lengths) / len(rows), passages_flop(lengths, bench) / len(rows))
    with bench.attempt("tokenizer"):
        seconds = best_seconds(lambda: encoder.tokens(passages), 1)
        bench.row("tokenizer, one thread", rate=sum(lengths) / seconds / 1e6, unit="M tokens/s")
    for budget in BUDGETS:
        with bench.attempt(f"encoder, --token-budget {budget}"):
            seconds = best_seconds(lambda budget=budget: encoder.encode(rows, budget), REPEATS)  # type: ignore[misc]
            bench.row(f"encoder, --token-budget {budget}", **load.row(len(rows) / seconds))
    bench.profile("embed from tokens", lambda: encoder.encode(rows, BUDGETS[0]))
    return load


def _sentence_transformers(bench: Bench, passages: list[Any], load: Load) -> None:
    """The same texts and model there, in bf16, tokenizer included."""
    from benchmarks.retriever import sentence_model

    model = sentence_model(bench.work / "retriever", torch.bfloat16)
    encoder = PassageEncoder(bench.work / "retriever")
    texts = [encoder.text(passage) for passage in passages]
    for size in THEIR_BATCHES:
        seconds = best_seconds(lambda size=size: model.encode(texts, batch_size=size, show_progress_bar=False), 1)
        name = f"sentence-transformers {version('sentence-transformers')}, bf16, batch_size={size}"
        bench.row(name, **load.row(len(texts) / seconds), note="texts in memory, tokenizer included")


def train_retriever(bench: Bench) -> None:
    """Updates of a retriever, with the default budget and with a large one."""
    sizes = bench.sizes
    question = first_question(bench.work / "train.jsonl")
    rows = PassageEncoder(bench.work / "retriever").tokens(question.ctxs)
    flop = 3 * passages_flop([len(row) for row in rows], bench)
    note = f"updates of {sizes.retriever_batch} questions × {sizes.passages} passages"
    for budget in (BUDGETS[0], 4 * BUDGETS[1]):
        options = ["--retriever", bench.work / "retriever", "--batch", sizes.retriever_batch]
        options += ["--n-passages", sizes.passages, "--token-budget", budget]
        train_command(bench, "train-retriever", f"`train-retriever --token-budget {budget}`", options, flop, note)


def passages_flop(lengths: list[int], bench: Bench) -> float:
    """The products of encoding passages of `lengths` tokens."""
    config = bench.sizes.encoder
    return encoder_flop(lengths, config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"])

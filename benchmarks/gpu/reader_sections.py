"""The reader on a GPU: scoring, answering, training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

from benchmarks.gpu.bench import BUDGETS, Bench, best_seconds, marginal, memory
from benchmarks.gpu.data import ANSWER, Sizes
from benchmarks.gpu.library import ScoringReader, first_question, run
from benchmarks.reader import encoder_flop

REPEATS = 5
STEPS = 10  # the commands log the tenth update


def score(bench: Bench) -> None:
    reader, tokens = _reader_and_tokens(bench)
    question = first_question(bench.work / "few.jsonl")
    with bench.attempt("tokenizer"):
        seconds = best_seconds(lambda: reader.tokens(question), REPEATS)
        bench.row("tokenizer, one thread", rate=sum(map(len, tokens)) / seconds / 1e6, unit="M tokens/s")
    for budget in BUDGETS:
        _stage(bench, f"encoder, --token-budget {budget}", lambda budget=budget: reader.encode(tokens, budget))  # type: ignore[misc]
    _stage(bench, "score-attn from tokens: encoder and decoder", lambda: reader.score(question, tokens))
    bench.profile("encoder", lambda: reader.encode(tokens, BUDGETS[0]))
    bench.profile("score-attn from tokens", lambda: reader.score(question, tokens))
    _command(bench, "score-attn", [])


def read(bench: Bench) -> None:
    reader, tokens = _reader_and_tokens(bench)
    _stage(bench, "read from tokens: encoder and decoder", lambda: reader.answer(tokens, ANSWER))
    bench.profile("read from tokens", lambda: reader.answer(tokens, ANSWER))
    _command(bench, "read", ["--answer-maxlength", ANSWER])


def _reader_and_tokens(bench: Bench) -> tuple[ScoringReader, list[list[int]]]:
    """The reader, and the passages' tokens of one question."""
    reader = ScoringReader(bench.work / "reader", BUDGETS[0])
    return reader, reader.tokens(first_question(bench.work / "few.jsonl"))


def _stage(bench: Bench, name: str, work: Callable[[], object]) -> None:
    """A row for what is done with one question."""
    with bench.attempt(name):
        rate = 1 / best_seconds(work, REPEATS)
        tflops = fused_flop(bench.sizes) * rate / 1e12
        bench.row(name, rate=rate, unit="questions/s", tflops=tflops, memory=memory())


def _command(bench: Bench, command: str, options: list[object]) -> None:
    few, many, flop = bench.sizes.few_questions, bench.sizes.many_questions, fused_flop(bench.sizes)

    def work(size: str) -> None:
        files = [bench.work / f"{size}.jsonl", "-o", bench.work / "out.jsonl"]
        run(command, *files, "--reader", bench.work / "reader", "-q", *options)

    for name in bench.commands(command):
        with bench.attempt(name):
            rate = 1 / marginal(work, few, many)
            note = f"{few} to {many} questions"
            bench.row(name, rate=rate, unit="questions/s", tflops=flop * rate / 1e12, memory=memory(), note=note)


def train(bench: Bench) -> None:
    """Updates of a reader."""
    sizes = bench.sizes
    flop = 3 * fused_flop(sizes, keys_and_values=True)
    for flag in ([], ["--gradient-checkpointing"]):
        options = ["--reader", bench.work / "reader", "--batch", sizes.batch, "--n-context", sizes.passages, *flag]
        name = " ".join(["`train-reader`", *flag])
        train_command(bench, "train-reader", name, options, flop, f"updates of {sizes.batch} questions")


def train_command(bench: Bench, command: str, name: str, options: list[object], flop: float, note: str) -> None:
    """A row for a training command, with the rate it logs; `flop` are a question's."""
    output = bench.work / "trained"
    with bench.attempt(name):
        run(command, bench.work / "train.jsonl", "-o", output, "--steps", STEPS, *options, "-q")
        logged = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        rate = next(line["examples_per_second"] for line in logged if line["step"] == STEPS)
        bench.row(name, rate=rate, unit="questions/s", tflops=flop * rate / 1e12, memory=memory(), note=note)
    for folder in bench.work.glob("trained*"):
        shutil.rmtree(folder)


def fused_flop(sizes: Sizes, *, keys_and_values: bool = False) -> float:
    """The products a question needs: the encoder's over all passages; on request, the cross-attention's keys and values
    of all tokens. What else the decoder multiplies is little and not counted.
    """
    d, layers, tokens = sizes.reader["d_model"], sizes.reader["num_layers"], sizes.passages * sizes.length
    encoder = encoder_flop([sizes.length] * sizes.passages, d, sizes.reader["d_ff"], layers)
    return encoder + (layers * 4 * d * d * tokens if keys_and_values else 0)

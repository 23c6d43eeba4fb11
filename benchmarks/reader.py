"""The reader against what a user would otherwise do with transformers alone, on the same texts, side by side.

    python -m benchmarks.reader [--rounds 3] [--threads 2] [--clock wall|cpu] [--passages 20] [--stages | --profile]

The other way: every passage padded to 200 (or 250) tokens, float32; for scores `generate` with `output_attentions`,
which computes every step of the answer. A random model of T5-small's size, passages of about 166 tokens. Each number
is the best of some rounds; all ways take turns within a round, so that a busy machine disturbs all alike.
`--clock cpu` counts the processor time of all threads, which other processes hardly change.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from benchmarks.timing import show_operations
from fidtools.compute.device import Compute
from fidtools.data.records import Passage, Question
from fidtools.reader.answering import answer_questions, answer_tokens
from fidtools.reader.attention_scores import attention_scores, fused_scores
from fidtools.reader.decoding import GenerationSettings, answer_fused
from fidtools.reader.groups import with_tokens
from fidtools.reader.network import Batch
from fidtools.reader.prompt import ReaderSettings, input_texts
from fidtools.reader.reader_folder import cast_linear_weights, reader_from_model

ANSWER = 5
GENERATED = 50
SEVERAL = 4
ENCODE = "encode"
VOCABULARY = 32128
Way = Callable[[], object]


def word_tokenizer() -> PreTrainedTokenizerFast:
    special = ["<pad>", "</s>", "<unk>", "question:", "title:", "context:"]
    words = special + [f"w{i}" for i in range(VOCABULARY - len(special))]
    model = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def t5_small() -> Any:
    torch.manual_seed(0)
    return T5ForConditionalGeneration(T5Config(vocab_size=VOCABULARY, decoder_start_token_id=0)).eval()


def question(passages: int) -> Question:
    """One question with passages of 100 to 200 tokens, 166 in the mean, the question and the prefixes included."""
    draw = random.Random(0)

    def words(n: float) -> str:
        return " ".join(f"w{draw.randrange(30_000)}" for _ in range(int(n)))

    ctxs = [Passage(str(i), words(min(184, max(84, draw.gauss(150, 20)))), title=words(2)) for i in range(passages)]
    return Question("q", words(11), target=words(ANSWER - 1), ctxs=ctxs)


class TransformersAlone:
    """Fusion-in-Decoder as one writes it with transformers only."""

    def __init__(self, tokenizer: Any, question: Question, width: int) -> None:
        self.tokenizer, self.question, self.width = tokenizer, question, width
        self.model, self.eager = t5_small(), t5_small()
        self.eager.set_attn_implementation("eager")  # output_attentions needs it
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)

    def encode(self, model: Any) -> dict[str, Any]:
        texts = input_texts(self.question.question, self.question.ctxs or [], ReaderSettings())
        inputs = self.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self.width,
            return_tensors="pt",
            add_special_tokens=False,
        )
        states = model.encoder(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask).last_hidden_state
        fused = BaseModelOutput(last_hidden_state=states.reshape(1, -1, states.shape[-1]))
        return {"encoder_outputs": fused, "attention_mask": inputs.attention_mask.reshape(1, -1)}

    @torch.inference_mode()
    def score(self, steps: int) -> torch.Tensor:
        inputs = self.encode(self.eager)
        out = self.eager.generate(
            **inputs,
            max_new_tokens=steps,
            min_new_tokens=steps,
            output_attentions=True,
            return_dict_in_generate=True,
        )
        attention = torch.stack(out.cross_attentions[0])[:, 0, :, 0]  # (layers, heads, tokens)
        mask = inputs["attention_mask"].view(-1, self.width)
        return (attention.mean((0, 1)).view(mask.shape) * mask).sum(1) / mask.sum(1)

    @torch.inference_mode()
    def read(self) -> Any:
        return self.model.generate(**self.encode(self.model), max_new_tokens=ANSWER, min_new_tokens=ANSWER)

    def train(self) -> None:
        self.model.train()
        labels = self.tokenizer(self.question.target + " </s>", return_tensors="pt").input_ids
        self.model(**self.encode(self.model), labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.model.eval()


class Ours:
    """The library, in bf16 or float32."""

    def __init__(self, tokenizer: Any, question: Question, dtype: torch.dtype) -> None:
        self.question, self.compute = question, Compute(torch.device("cpu"), dtype, "the benchmark's")
        self.reader, self.trained = (reader_from_model(t5_small(), tokenizer, compute=self.compute) for _ in range(2))
        cast_linear_weights(self.reader.fusion.requires_grad_(False).eval().model, dtype)
        self.optimizer = torch.optim.Adam(self.trained.fusion.parameters(), lr=1e-4)

    def score(self) -> object:
        return attention_scores(self.reader, [self.question])

    def read(self) -> object:
        return answer_questions(self.reader, [self.question], GenerationSettings(max_tokens=ANSWER))

    def train(self) -> None:
        fusion = self.trained.fusion.train()
        batch = Batch([self.trained.passages(self.question)], [self.trained.target(self.question.target or "")])
        with self.compute.autocast():
            loss = fusion(batch) / ANSWER
        loss.backward()
        torch.nn.utils.clip_grad_norm_(fusion.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def in_turn(self) -> None:
        """Several questions answered one by one, each tokenized before it is encoded."""
        for _ in range(SEVERAL):
            answer_questions(self.reader, [self.question], GenerationSettings(max_tokens=ANSWER))

    def prefetched(self) -> None:
        """The same, the next one tokenized meanwhile."""
        for group in with_tokens(self.reader, [[self.question]] * SEVERAL):
            answer_tokens(self.reader, group.tokens, GenerationSettings(max_tokens=ANSWER))

    def stages(self) -> dict[str, Way]:
        """The parts of scoring and reading; the last two as they are when keys and values of all tokens are made."""
        reader = self.reader
        tokens = reader.passages(self.question)
        with torch.inference_mode():
            fused = reader.fusion.fuse([tokens])

        @torch.inference_mode()
        def encode() -> object:
            return reader.fusion.encode(tokens)

        @torch.inference_mode()
        def step() -> object:
            return fused_scores(reader.fusion, fused[0], [len(t) for t in tokens])

        def decode() -> object:
            return answer_fused(reader, fused, GenerationSettings(max_tokens=ANSWER))

        tokenize = {"tokenize": lambda: reader.passages(self.question), ENCODE: encode}
        ways: dict[str, Way] = {"one decoder step": step, f"decode {ANSWER} tokens": decode}
        kept = {f"{name}, with keys and values": self.with_keys_and_values(way) for name, way in ways.items()}
        return tokenize | ways | kept

    def with_keys_and_values(self, way: Way) -> Way:
        """The same without absorbing their weights."""
        recorder = self.reader.fusion.recorder

        def run() -> object:
            projections, recorder.projections = recorder.projections, {}
            try:
                return way()
            finally:
                recorder.projections = projections

        return run


def best_times(ways: dict[str, Way], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """The best time of each way in seconds; one round before is not counted."""
    times = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = clock()
            way()
            if turn:
                times[name] = min(times[name], clock() - started)
    return times


def peak(dtype: torch.dtype, rounds: int, clock: Callable[[], float]) -> float:
    """The machine's matrix-product rate in TFLOP/s (2048 cubed)."""
    a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    return 2 * 2048**3 / best_times({"": lambda: a @ b}, 3 * rounds, clock)[""] / 1e12


def encoder_flop(lengths: list[int], d: int = 512, ff: int = 2048, layers: int = 6) -> float:
    """Products of T5-small's encoder over unpadded passages."""
    return sum(layers * (2 * n * (4 * d * d + 2 * d * ff) + 4 * n * n * d) for n in lengths)


def training_flop(lengths: list[int], d: int = 512, layers: int = 6) -> float:
    """Products of a training step, forward and backward: the encoder's, and the decoder's keys and values."""
    return 3 * (encoder_flop(lengths) + layers * sum(lengths) * 4 * d * d)


def profile_training(ours: Ours, lengths: list[int], rounds: int, clock: Callable[[], float]) -> None:
    """The share of the product peak of a training step in bf16, and its operations."""
    seconds = best_times({"": ours.train}, rounds, clock)[""]
    most, rate = peak(torch.bfloat16, rounds, clock), training_flop(lengths) / seconds / 1e12
    print(f"\ntraining step: {seconds:.2f} s, {rate:.3f} TFLOP/s of {most:.3f} ({rate / most:.0%})\n")
    show_operations(ours.train)


def compare(title: str, others: dict[str, Way], ours: dict[str, Way], rounds: int, clock: Callable[[], float]) -> None:
    times = best_times(others | ours, rounds, clock)
    print(f"\n| {title} | seconds | times faster: " + " | ".join(["bf16", "float32"]) + " |\n|---|---|---|---|")
    for name in others:
        gains = " | ".join(f"{times[name] / times[way]:.1f}" for way in ours)
        print(f"| {name} | {times[name]:.2f} | {gains} |")
    for name in ours:
        print(f"| fidtools, {name} | {times[name]:.2f} | | |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--passages", type=int, default=20)
    arguments.add_argument("--stages", action="store_true", help="measure the stages only")
    arguments.add_argument("--profile", action="store_true", help="profile a training step only")
    arguments.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    measure(arguments.parse_args())


def measure(given: argparse.Namespace) -> None:
    """Print the tables."""
    clock = time.perf_counter if given.clock == "wall" else time.process_time
    torch.set_num_threads(given.threads)
    tokenizer, asked = word_tokenizer(), question(given.passages)
    ours = {"bf16": Ours(tokenizer, asked, torch.bfloat16), "float32": Ours(tokenizer, asked, torch.float32)}
    lengths = [len(tokens) for tokens in ours["bf16"].reader.passages(asked)]
    mean = sum(lengths) / len(lengths)
    print(f"{given.passages} passages of {mean:.0f} tokens, {given.threads} threads, {given.clock} clock")
    if given.profile:
        profile_training(ours["bf16"], lengths, given.rounds, clock)
        return
    if not given.stages:
        alone = {width: TransformersAlone(tokenizer, asked, width) for width in (200, 250)}
        compare_all(alone, ours, given.rounds, clock)
    compare_stages(ours, lengths, given.rounds, clock)


def compare_all(
    alone: dict[int, TransformersAlone], ours: dict[str, Ours], rounds: int, clock: Callable[[], float]
) -> None:
    """Scoring, reading and training as a whole."""
    scoring = {
        f"padded to {w}, {n} steps": lambda w=w, n=n: alone[w].score(n) for w in alone for n in (ANSWER, GENERATED)
    }
    compare("score-attn", scoring, {k: o.score for k, o in ours.items()}, rounds, clock)
    reading = {f"padded to {w}": alone[w].read for w in alone}
    compare(f"read ({ANSWER} tokens)", reading, {k: o.read for k, o in ours.items()}, rounds, clock)
    training = {f"padded to {w}": alone[w].train for w in alone}
    compare("training step", training, {k: o.train for k, o in ours.items()}, rounds, clock)

    times = best_times({"in turn": ours["bf16"].in_turn, "prefetched": ours["bf16"].prefetched}, rounds, clock)
    gain = times["in turn"] / times["prefetched"]
    print(f"\nread, {SEVERAL} questions, bf16: {gain:.3f} times faster with prefetched tokens than in turn")


def compare_stages(ours: dict[str, Ours], lengths: list[int], rounds: int, clock: Callable[[], float]) -> None:
    """The stages of scoring and reading, and the share of the peak."""
    print("\n| stage | bf16 | of its encoding | float32 | of its encoding |\n|---|---|---|---|---|")
    stages = {name: best_times(o.stages(), rounds, clock) for name, o in ours.items()}
    for stage in stages["bf16"]:
        cells = [f"{s[stage]:.3f} s | {s[stage] / s[ENCODE]:.1%}" for s in stages.values()]
        print(f"| {stage} | {' | '.join(cells)} |")
    for name, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        most, rate = peak(dtype, rounds, clock), encoder_flop(lengths) / stages[name][ENCODE] / 1e12
        print(f"\n{name}: products peak at {most:.3f} TFLOP/s, the encoder reaches {rate:.3f} ({rate / most:.0%})")


if __name__ == "__main__":
    main()

"""Make an initial reader where no pre-trained T5 is available: a decoder on a pre-trained sentence encoder.

    python examples/squad/start_reader.py PASSAGES… [--questions RANKED] -o FOLDER [--encoder minilm] [--steps 1500]

`copying.py` constructs a decoder that copies; here it learns where to start. The first examples are made from the
passages alone: the question is a stretch of a passage without some words and without one span, the passage is a longer
stretch around it, and the answer is the span. With ranked questions (`fidtools bm25`) that is the first epoch; the next
epochs use the questions, over their first passage that has an answer and up to one, then up to three other passages.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from copying import copying_reader

from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Passage, Question
from fidtools.logs import set_verbosity
from fidtools.metrics.answer_match import has_answer
from fidtools.reader.fusion import Fusion, passage_batches
from fidtools.reader.network import Batch
from fidtools.reader.prompt import ReaderSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import reader_from_model
from fidtools.reader.train import set_dropout
from fidtools.training.loop import train
from fidtools.training.order import ExampleRef, shuffled
from fidtools.training.settings import TrainingSettings

MOST = 4  # passages of a question
HELD_OUT = 192
Example = tuple[list[list[int]], list[int]]  # tokens of each passage, and of the answer


def cloze_example(rng: random.Random, words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """(question, passage, answer): a clause with a span cut out and some words lost, and the span."""
    passage = stretch(rng, words, 40, 100)
    start, length = answer_span(rng, passage)
    before, after = rng.randint(3, 10), rng.randint(0, 6)
    lost = rng.uniform(0.0, 0.5)
    left = [word for word in passage[max(0, start - before) : start] if rng.random() > lost]
    right = [word for word in passage[start + length : start + length + after] if rng.random() > lost]
    asked = [*left, "[MASK]", *right] if rng.random() < 0.5 else [*right, *left]
    return asked or left, passage, passage[start : start + length]


def stretch(rng: random.Random, words: list[str], shortest: int, longest: int) -> list[str]:
    """A run of a passage's words."""
    length = min(len(words), rng.randint(shortest, longest))
    start = rng.randint(0, len(words) - length)
    return words[start : start + length]


def answer_span(rng: random.Random, words: list[str]) -> tuple[int, int]:
    """Start and length of what could be an answer: capitalised words or a number where there are some."""
    likely = [i for i, word in enumerate(words) if i and (word[:1].isupper() or word[:1].isdigit())]
    start = rng.choice(likely) if likely and rng.random() < 0.8 else rng.randrange(len(words))
    length = 1
    while length < 4 and start + length < len(words) and words[start + length][:1].isupper():
        length += 1
    return start, min(length + (rng.random() < 0.3), len(words) - start)


class Pointing:
    """The Objective of learning where an answer starts, from passages alone and from ranked questions."""

    metric = "exact_match"

    def __init__(
        self, reader: Reader, texts: list[tuple[str, list[str]]], questions: list[Question], settings: TrainingSettings
    ) -> None:
        self.reader, self.module, self.settings = reader, reader.fusion, settings
        random.Random(0).shuffle(questions)
        self.texts, self.questions = texts, questions[HELD_OUT:]
        self.n_examples = len(self.questions) or len(texts)
        rng = random.Random(0)
        asked = [self.question(rng, question, 1) for question in questions[:HELD_OUT]]
        self.held_out = asked or [self.cloze(rng, *rng.choice(texts)) for _ in range(HELD_OUT)]

    def cloze(self, rng: random.Random, title: str, words: list[str]) -> Example:
        """A span cut out of a passage; the answer loses the punctuation around it."""
        asked, passage, answer = cloze_example(rng, words)
        read = [Passage(id="", title=title, text=" ".join(passage))]
        return self.reader.passages(Question(id="", question=" ".join(asked), ctxs=read)), self.reader.target(
            " ".join(answer).strip(".,;:()\"'")
        )

    def question(self, rng: random.Random, question: Question, most: int) -> Example:
        """A question over its first passage with an answer and up to `most` - 1 of the others above and below it."""
        ctxs, answers = question.ctxs or [], question.answers or []
        found = next(passage for passage in ctxs if has_answer(answers, passage.text))
        others = [passage for passage in ctxs if passage is not found]
        read = [found, *rng.sample(others, min(rng.randint(0, most - 1), len(others)))]
        rng.shuffle(read)
        written = [answer for answer in answers if answer.lower() in found.text.lower()] or answers
        return self.reader.passages(replace(question, ctxs=read)), self.reader.target(rng.choice(written))

    def example(self, draw: ExampleRef) -> Example:
        """The example of a draw: another one in each epoch."""
        rng = random.Random(f"{self.settings.seed} {draw.epoch} {draw.index}")
        if not self.questions or draw.epoch == 0:
            return self.cloze(rng, *rng.choice(self.texts))
        return self.question(rng, self.questions[draw.index], min(2 * draw.epoch, MOST))

    def order(self, seed: int, epoch: int) -> list[int]:
        """A random order."""
        return shuffled(self.n_examples, seed, epoch)

    def loss_denominator(self, refs: list[ExampleRef]) -> float:
        """The number of target tokens."""
        return float(sum(len(self.example(draw)[1]) for draw in refs))

    def micro_batches(self, draws: list[ExampleRef]) -> Any:
        """All examples, by length."""
        examples = [self.example(draw) for draw in draws]
        for rows in passage_batches([sum(map(len, read)) for read, _ in examples], 4096):
            yield Batch([examples[i][0] for i in rows], [examples[i][1] for i in rows])

    def evaluate(self) -> dict[str, float]:
        """The share of held-out answers that are exactly right under teacher forcing."""
        found = 0
        for start in range(0, len(self.held_out), 32):
            part = self.held_out[start : start + 32]
            found += sum(a == t for a, (_, t) in zip(forced(self.reader.fusion, part), part, strict=True))
        return {"exact_match": found / len(self.held_out)}

    def save(self, folder: Path) -> None:
        """The reader, as a folder."""
        self.reader.save(folder)


def forced(fusion: Fusion, examples: list[Example]) -> list[list[int]]:
    """The most probable token at each position under teacher forcing: all right only if greedy decoding is."""
    fused = fusion.fuse([read for read, _ in examples])
    best = fusion.decode(fused, fusion.decoder_inputs([target for _, target in examples])).argmax(-1).tolist()
    return [row[: len(target)] for row, (_, target) in zip(best, examples, strict=True)]


def with_answers(path: str) -> list[Question]:
    """The ranked questions of a file that have an answer among their first ten passages."""
    questions = [replace(question, ctxs=(question.ctxs or [])[:10]) for question in read_questions(path)]
    return [q for q in questions if any(has_answer(q.answers or [], p.text) for p in q.ctxs or [])]


@click.command()
@click.argument("passages", type=click.Path(exists=True), nargs=-1, required=True)
@click.option("--questions", type=click.Path(exists=True), help="Ranked questions with answers.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The reader's folder.")
@click.option("--encoder", default="minilm", show_default=True, help="The sentence encoder: a folder or name.")
@click.option("--steps", default=1500, show_default=True, help="Training steps.")
@click.option("--batch", default=32, show_default=True, help="Examples per step.")
@click.option("--lr", default=2e-4, show_default=True, help="Peak learning rate.")
@click.option("--precision", default="auto", show_default=True, help="auto, bf16 or float32.")
@click.option("--eval-every", default=100, show_default=True, help="Steps between evaluations.")
def main(passages: tuple[str, ...], questions: str | None, output: Path, encoder: str, **changes: Any) -> None:
    """Train an initial reader on PASSAGES and write it to a folder; an interrupted training continues."""
    set_verbosity(0)
    torch.manual_seed(0)
    all_texts = [(p.title, p.text) for path in passages for p in read_passages(path)]
    model, tokenizer = copying_reader(encoder, [f"{title} {text}" for title, text in all_texts])
    set_dropout(model, 0.0)
    reader = reader_from_model(model, tokenizer, ReaderSettings(special_tokens=True))
    fixed = {"optimizer": "adamw", "schedule": "linear", "warmup": 50, "weight_decay": 0.01, "log_every": 25}
    settings = TrainingSettings(**fixed, **changes, save_every=changes["eval_every"])
    texts = [(title, text.split()) for title, text in all_texts if len(text.split()) >= 20]
    objective = Pointing(reader, texts, with_answers(questions) if questions else [], settings)
    train(objective, settings, output, resume=True, record={"passages": list(passages), "questions": questions})


if __name__ == "__main__":
    main()

"""Make a reader to start from when there is no pre-trained T5: a small decoder on a pre-trained sentence encoder.

    python examples/squad/start_reader.py PASSAGES -o FOLDER [--encoder minilm] [--steps 3000]

The decoder learns to read from the passages alone. An example is a stretch of a passage, of which some words were lost
and one span was cut out, as the question; a longer stretch around it as the passage; and the span as the answer. At
first nothing is lost but what follows the question, so that copying is learnt before matching.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import click
import torch

from fidtools.models import resolve_model
from fidtools.reader.fusion import Batch, Fusion, micro_batches
from fidtools.reader.inputs import ReaderSettings
from fidtools.reader.model import Reader, reader_from_model
from fidtools.records import read_passages
from fidtools.talk import set_verbosity
from fidtools.training import Draw, Settings, train

LAYERS = 2
COPYING = 0.3  # share of the training that only copies
HELD_OUT = 256
Example = tuple[list[int], list[int]]  # input and target tokens


def encoder_decoder(name: str) -> tuple[Any, Any]:
    """An EncoderDecoderModel on a pre-trained encoder, with its tokenizer.

    The decoder has two layers with the encoder's first two layers' weights, and shares its word vectors, at the input
    and the output; its cross-attention begins as the encoder's own last self-attention, which finds like by like.
    """
    from transformers import AutoModel, AutoTokenizer, BertLMHeadModel, EncoderDecoderModel

    source = resolve_model(name)
    tokenizer = AutoTokenizer.from_pretrained(source)
    encoder = AutoModel.from_pretrained(source, dtype=torch.float32, add_pooling_layer=False)
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    config.is_decoder, config.add_cross_attention, config.num_hidden_layers = True, True, LAYERS
    config.tie_word_embeddings = True
    decoder = BertLMHeadModel(config)
    decoder.bert.load_state_dict(encoder.state_dict(), strict=False)
    last = encoder.encoder.layer[-1].attention.state_dict()
    for layer in decoder.bert.encoder.layer:
        layer.crossattention.load_state_dict(last, strict=False)
    decoder.tie_weights()
    model = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = tokenizer.cls_token_id
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.sep_token_id
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def copy_example(rng: random.Random, words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """(question, passage, answer): some words of the passage, and the words that follow them there."""
    passage = stretch(rng, words, 20, 60)
    asked, told = rng.randint(3, 6), rng.randint(3, 8)
    start = rng.randint(0, len(passage) - asked - told)
    return passage[start : start + asked], passage, passage[start + asked : start + asked + told]


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


class Cloze:
    """Learning to read from passages alone; an Objective."""

    metric = "exact_match"

    def __init__(self, reader: Reader, passages: list[tuple[str, list[str]]], settings: Settings) -> None:
        self.reader, self.module, self.settings = reader, reader.fusion, settings
        self.passages = passages[HELD_OUT:]
        self.n_examples = len(self.passages)
        rng = random.Random(0)
        self.held_out = [self.tokens(title, *cloze_example(rng, words)) for title, words in passages[:HELD_OUT]]

    def tokens(self, title: str, asked: list[str], passage: list[str], answer: list[str]) -> Example:
        """An example as input and target tokens; the answer loses the punctuation around it."""
        text = f"question: {' '.join(asked)} title: {title} context: {' '.join(passage)}"
        ids = self.reader.tokenizer(text, truncation=True, max_length=self.reader.settings.text_maxlength)["input_ids"]
        return ids, self.reader.target(" ".join(answer).strip(".,;:()\"'"))

    def example(self, draw: Draw) -> tuple[list[int], list[int]]:
        """The example of a draw: the same passage gives another one in each epoch."""
        rng = random.Random(f"{self.settings.seed} {draw.epoch} {draw.index}")
        title, words = self.passages[draw.index]
        place = (draw.epoch * self.n_examples) / (self.settings.steps * self.settings.batch)
        make = copy_example if rng.random() > place / COPYING else cloze_example
        return self.tokens(title, *make(rng, words))

    def normalizer(self, draws: list[Draw]) -> float:
        """The number of target tokens."""
        return float(sum(len(self.example(draw)[1]) for draw in draws))

    def micro_batches(self, draws: list[Draw]) -> Any:
        """All examples, by length."""
        examples = [self.example(draw) for draw in draws]
        for rows in micro_batches([len(ids) for ids, _ in examples], 4096):
            yield Batch([[examples[i][0]] for i in rows], [examples[i][1] for i in rows])

    def evaluate(self) -> dict[str, float]:
        """How many held-out spans are written exactly, by greedy decoding."""
        found = 0
        for start in range(0, len(self.held_out), 64):
            part = self.held_out[start : start + 64]
            found += sum(a == t for a, t in zip(greedy(self.reader.fusion, part), (t for _, t in part), strict=True))
        return {"exact_match": found / len(self.held_out)}

    def save(self, folder: Path) -> None:
        """The reader, as a folder."""
        self.reader.save(folder)


def greedy(fusion: Fusion, examples: list[tuple[list[int], list[int]]]) -> list[list[int]]:
    """What the model would write when it is shown the true beginning at each place: right only if all is right."""
    fused = fusion.fuse([[ids] for ids, _ in examples])
    best = fusion.decode(fused, fusion.decoder_inputs([target for _, target in examples])).argmax(-1).tolist()
    return [row[: len(target)] for row, (_, target) in zip(best, examples, strict=True)]


@click.command()
@click.argument("passages", type=click.Path(exists=True), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--encoder", default="minilm", show_default=True)
@click.option("--steps", default=3000, show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--lr", default=3e-4, show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--eval-every", default=250, show_default=True)
def main(passages: tuple[str, ...], output: Path, encoder: str, **changes: Any) -> None:
    """Train a start reader on PASSAGES and write it to a folder; continues when it was stopped."""
    set_verbosity(0)
    torch.manual_seed(0)
    reader = reader_from_model(*encoder_decoder(encoder), ReaderSettings(special_tokens=True))
    fixed = {"optimizer": "adamw", "schedule": "linear", "warmup": 200, "weight_decay": 0.01, "log_every": 25}
    settings = Settings(**fixed, **changes, save_every=changes["eval_every"])
    texts = [(p.title, p.text.split()) for path in passages for p in read_passages(path)]
    long_enough = [(title, words) for title, words in texts if len(words) >= 20]
    random.Random(0).shuffle(long_enough)
    train(Cloze(reader, long_enough, settings), settings, output, resume=True, record={"passages": list(passages)})


if __name__ == "__main__":
    main()

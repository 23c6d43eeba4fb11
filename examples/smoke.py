"""Make a sample of a dataset and tiny untrained models: the smoke profile runs on them.

    python examples/smoke.py PASSAGES DATA -o FOLDER

FOLDER gets train, dev and test questions from DATA, passages.jsonl (the first of PASSAGES; where retrieval is per
document, those of the questions' documents), and reader/ and retriever/: a T5 and a BERT of two layers with random
weights and a vocabulary made from the passages. They only check that everything runs; their answers mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from fidtools.data.files import atomic_folder
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Passage, Question
from fidtools.logs import log, set_verbosity

VOCABULARY = 4000
WIDTH = 64


@click.command()
@click.argument("passages", type=click.Path(exists=True))
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--passages", "n_passages", type=int, default=3000, show_default=True, help="Number of passages.")
@click.option("--train", "n_train", type=int, default=200, show_default=True, help="Number of train questions.")
@click.option("--dev", "n_dev", type=int, default=40, show_default=True, help="Number of dev and of test questions.")
def command(passages: str, data: Path, output: Path, n_passages: int, n_train: int, n_dev: int) -> None:
    """Write a sample of DATA with tiny models."""
    set_verbosity(0)
    wanted = {"train": n_train, "dev": n_dev, "test": n_dev}
    first = {split: list(islice(read_questions(file(data, split)), n)) for split, n in wanted.items()}
    documents = {question.doc_id for questions in first.values() for question in questions} - {None}
    if documents:
        corpus = [passage for passage in read_passages(passages) if passage.doc_id in documents]
    else:
        corpus = list(islice(read_passages(passages), n_passages))
    with atomic_folder(output) as folder:
        for split, n in wanted.items():
            questions = first[split] if documents else islice(answerable(read_questions(file(data, split)), corpus), n)
            kept = write_lines(folder / f"{split}.jsonl", (question.to_json() for question in questions))
            log.info("%s: %d questions", split, kept)
        models(corpus, folder)
        write_lines(folder / "passages.jsonl", (passage.to_json() for passage in corpus))
    log.info("%d passages, and tiny models with random weights", len(corpus))


def file(data: Path, split: str) -> Path:
    """The questions of a split, compressed or not."""
    plain = data / f"{split}.jsonl"
    return plain if plain.exists() else data / f"{split}.jsonl.gz"


def answerable(questions: Iterable[Question], corpus: list[Passage]) -> Iterable[Question]:
    """The questions whose gold passages are among those kept; all where none are known."""
    kept = {passage.id for passage in corpus}
    return (question for question in questions if kept.issuperset(question.extra.get("gold", ())))


def models(corpus: list[Passage], folder: Path) -> None:
    """Write reader/ and retriever/."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(0)
    words = tokenizer([f"question: title: context: {passage.title} {passage.text}" for passage in corpus])
    special = {
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    shape: dict[str, Any] = {"vocab_size": words.get_vocab_size(), "num_hidden_layers": 2}
    reader = T5ForConditionalGeneration(
        T5Config(**shape, d_model=WIDTH, d_ff=2 * WIDTH, d_kv=16, num_heads=4, num_layers=2, decoder_start_token_id=0)
    )
    retriever = BertModel(
        BertConfig(**shape, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_attention_heads=4, pad_token_id=0),
        add_pooling_layer=False,
    )
    reader.save_pretrained(folder / "reader")
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder / "reader")
    retriever.save_pretrained(folder / "retriever")
    words.post_processor = framed(words)
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder / "retriever")


def tokenizer(texts: list[str]) -> Any:
    """A byte-level BPE tokenizer trained on the texts; <pad> is 0 and </s> is 1, as T5 has them."""
    from tokenizers import Tokenizer, decoders
    from tokenizers import models as kinds
    from tokenizers import pre_tokenizers as cuts
    from tokenizers.trainers import BpeTrainer

    made = Tokenizer(kinds.BPE(unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = cuts.ByteLevel(), decoders.ByteLevel()
    special = ["<pad>", "</s>", "<unk>", "[CLS]", "[SEP]"]
    made.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=cuts.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return made


def framed(words: Any) -> Any:
    """[CLS] before and [SEP] after every text, as BERT reads it."""
    from tokenizers.processors import TemplateProcessing

    ends = [(token, words.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    return TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)


if __name__ == "__main__":
    command()

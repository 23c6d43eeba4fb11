"""The retriever's checkpoint: a small BERT that has learnt which wordings state the same fact, and no question."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from cloze import RETRIEVER_SEEDS, Corpus
from language import retriever_tokenizer
from optimise import HEADS, WIDTH, encoder_of, steps
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertModel
from vectors import embeddings

from fidtools.encoders.transformer import TransformerEncoder
from fidtools.retriever.model_folder import save_tower
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower

LR = 1e-3
STEPS = 1000


def new_retriever(corpus: Corpus, vocab: dict[str, int]) -> BertModel:
    """A BERT that begins close to a bag of word vectors."""
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    model = BertModel._from_config(config, attn_implementation="eager")
    facts = [fact for facts in corpus.facts.values() for fact in facts]
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.copy_(0.1 * embeddings(facts, vocab, WIDTH, others=False))
        for layer in model.encoder.layer:
            layer.attention.output.dense.weight.mul_(0.5)
            layer.output.dense.weight.mul_(0.5)
    return model


def mean_vectors(model: BertModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean of a text's hidden states: (texts, width)."""
    hidden = model(**batch).last_hidden_state.float()
    mask = batch["attention_mask"][..., None]
    return (hidden * mask).sum(1) / mask.sum(1)


def pretrain_retriever(folder: Path) -> None:
    """Contrast statements with passages that restate them; the other passages of the batch are negatives."""
    tokenizer, rng = retriever_tokenizer(), Random(3)
    worlds = [Corpus.of(seed, rng) for seed in RETRIEVER_SEEDS]
    model, encode = new_retriever(worlds[0], tokenizer.get_vocab()), encoder_of(tokenizer)

    def losses() -> Iterator[torch.Tensor]:
        while True:
            pairs = rng.choice(worlds).pairs(14, 4, drop=0.1)
            with torch.autocast("cpu", torch.bfloat16):
                asked = mean_vectors(model, encode([f"question: {stated}" for stated, _ in pairs]))
                read = mean_vectors(model, encode([passage for _, passage in pairs]))
            yield cross_entropy(asked @ read.T / WIDTH**0.5, torch.arange(len(pairs)))

    steps(model, LR, losses(), STEPS)
    settings = RetrieverSettings(pooling="mean", question_maxlength=40, passage_maxlength=60)
    folder.mkdir(parents=True, exist_ok=True)
    encoder = TransformerEncoder(model, settings.pooling)
    save_tower(folder, Tower(encoder, retriever_tokenizer(), settings))

"""Make the two small checkpoints from which the toy example starts: `python pretrain.py [FOLDER]`.

The reader is a T5, the retriever a BERT. Both learn from statements and passages of other worlds (other seeds, other
people); neither sees a question. About five minutes on two CPU cores; the same seed gives the same examples.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch
from cloze import HELD_OUT_SEED, READER_SEEDS, RETRIEVER_SEEDS, Corpus
from language import reader_tokenizer, retriever_tokenizer
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertModel, GenerationConfig, T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from vectors import embeddings

from fidtools.retriever.encoders import TransformerEncoder
from fidtools.retriever.folder import save_tower
from fidtools.retriever.settings import RetrieverSettings

WIDTH = 128
HEADS = 4
READER_LR = 1.2e-3
RETRIEVER_LR = 1e-3
READER_STAGES = (  # steps, questions, passages each, share of distractors about the same person, noise
    (60, 192, 1, 0.0, 0.0),
    (100, 96, 2, 0.0, 0.0),
    (150, 96, 2, 0.8, 0.0),
    (150, 48, 4, 0.7, 0.0),
    (640, 24, 8, 0.7, 0.1),
)
RETRIEVER_STEPS = 400

log = logging.getLogger("pretrain")


def steps(model: torch.nn.Module, lr: float, losses: Iterator[torch.Tensor], total: int) -> None:
    """Adam over a stream of losses: a short warm-up, then level, then down to nothing over the second half."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    began, sum_of_losses = time.monotonic(), 0.0
    for step in range(total):
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 50, 0.05 + 2 * (1 - step / total))
        loss = next(losses)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sum_of_losses += loss.item()
        if (step + 1) % 50 == 0:
            log.info("step %d loss %.3f %.0fs", step + 1, sum_of_losses / 50, time.monotonic() - began)
            sum_of_losses = 0.0


def new_reader(corpus: Corpus, vocab: dict[str, int]) -> T5ForConditionalGeneration:
    """A T5 whose first weights make copying easy to find (see README: initialisation)."""
    config = T5Config(
        vocab_size=len(vocab),
        d_model=WIDTH,
        d_kv=WIDTH // HEADS,
        d_ff=2 * WIDTH,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=HEADS,
        dropout_rate=0.0,
        tie_word_embeddings=True,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = T5ForConditionalGeneration._from_config(config, attn_implementation="eager")
    facts = [fact for facts in corpus.facts.values() for fact in facts]
    with torch.no_grad():
        model.shared.weight.copy_(0.2 * embeddings(facts, vocab, WIDTH, others=True))
        model.decoder.final_layer_norm.weight.fill_(5.0)
        match_words(model)
        copy_values(model)
        for name, weight in model.named_parameters():
            if name.endswith((".o.weight", ".wo.weight")):
                weight.mul_(0.35)
    return model


def match_words(model: T5ForConditionalGeneration) -> None:
    """Encoder: half of the heads look for the same word elsewhere, the others for neighbours on either side."""
    half = HEADS // 2
    for block in model.encoder.block:
        attention = block.layer[0].SelfAttention
        rows = half * attention.key_value_proj_dim
        attention.q.weight[:rows].copy_(attention.k.weight[:rows] * attention.key_value_proj_dim**-0.5)
    bias = (
        model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    )  # (32 distances, heads)
    bias.zero_()
    bias[0, :half] = -6.0
    distance = torch.arange(32)
    for head in range(half, HEADS):
        other_side = (distance >= 16) == (head % 2 == 0)
        bias[:, head] = -0.5 * (distance % 16) - 2.0 * other_side


def copy_values(model: T5ForConditionalGeneration) -> None:
    """Decoder: what cross-attention reads it writes back unchanged, so the tied output layer names that word."""
    for block in model.decoder.block:
        attention = block.layer[1].EncDecAttention
        torch.nn.init.orthogonal_(attention.v.weight)
        attention.o.weight.copy_(attention.v.weight.T)


def reading_loss(
    model: T5ForConditionalGeneration, encode: Callable, examples: list
) -> tuple[torch.Tensor, float]:
    """The fused loss of a batch, and the share of values predicted."""
    texts = [f"question: {stated} {passage}" for stated, passages, _ in examples for passage in passages]
    batch, target = encode(texts), encode([value for *_, value in examples])["input_ids"]
    hidden = model.encoder(**batch).last_hidden_state  # (questions x passages, tokens, width)
    fused = BaseModelOutput(last_hidden_state=hidden.reshape(len(examples), -1, WIDTH))
    mask = batch["attention_mask"].reshape(len(examples), -1)
    out = model(encoder_outputs=fused, attention_mask=mask, labels=target)
    return out.loss, (out.logits[:, 0].argmax(-1) == target[:, 0]).float().mean().item()


def encoder_of(tokenizer) -> Callable:  # type: ignore[no-untyped-def]
    """Texts -> padded tensors."""
    return lambda texts: tokenizer(texts, padding=True, return_tensors="pt")


def pretrain_reader(folder: Path) -> None:
    """Cloze over fused passages, from one passage to eight."""
    tokenizer, rng = reader_tokenizer(), Random(1)
    worlds = [Corpus.of(seed, rng) for seed in READER_SEEDS]
    model, encode = new_reader(worlds[0], tokenizer.get_vocab()), encoder_of(tokenizer)

    def losses() -> Iterator[torch.Tensor]:
        for count, batch, n, hard, noise in READER_STAGES:
            for _ in range(count):
                world = rng.choice(worlds)
                examples = [world.reading(n, hard=hard, noise=noise) for _ in range(batch)]
                with torch.autocast("cpu", torch.bfloat16):
                    loss, _ = reading_loss(model, encode, examples)
                yield loss

    steps(model, READER_LR, losses(), sum(stage[0] for stage in READER_STAGES))
    held_out = Corpus.of(HELD_OUT_SEED, Random(2))
    with torch.no_grad():
        examples = [held_out.reading(8, hard=0.7, noise=0.0) for _ in range(200)]
        log.info("reader: %.1f %% of held-out values", 100 * reading_loss(model, encode, examples)[1])
    model.generation_config = GenerationConfig(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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

    steps(model, RETRIEVER_LR, losses(), RETRIEVER_STEPS)
    settings = RetrieverSettings(pooling="mean", question_maxlength=40, passage_maxlength=60)
    folder.mkdir(parents=True, exist_ok=True)
    save_tower(folder, (TransformerEncoder(model, settings.pooling, None), tokenizer, settings))


def main() -> None:
    """Parse the arguments and make the checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("--only", choices=("reader", "retriever"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, make in (("reader", pretrain_reader), ("retriever", pretrain_retriever)):
        if args.only in (None, name):
            torch.manual_seed(0)
            make(args.folder / name)


if __name__ == "__main__":
    main()

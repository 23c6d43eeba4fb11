"""The reader's checkpoint: a small T5 that learns to find and copy a value among fused passages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch
from cloze import HELD_OUT_SEED, READER_SEEDS, Corpus
from language import reader_tokenizer
from optimise import HEADS, WIDTH, encoder_of, log, steps
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from vectors import embeddings

LR = 1.2e-3
STAGES = (  # steps, questions, passages each, share of distractors about the same person, noise
    (50, 192, 1, 0.0, 0.0),
    (50, 96, 2, 0.0, 0.0),
    (100, 96, 2, 0.8, 0.0),
    (50, 48, 4, 0.7, 0.0),
    (250, 24, 8, 0.7, 0.0),
    (200, 24, 8, 0.7, 0.1),
)


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
    bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight  # (32 distances, heads)
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


def reading_loss(model: T5ForConditionalGeneration, encode: Callable, examples: list) -> tuple[torch.Tensor, float]:
    """The fused loss of a batch, and the share of values predicted."""
    texts = [f"question: {stated} {passage}" for stated, passages, _ in examples for passage in passages]
    batch, target = encode(texts), encode([value for *_, value in examples])["input_ids"]
    hidden = model.encoder(**batch).last_hidden_state  # (questions x passages, tokens, width)
    fused = BaseModelOutput(last_hidden_state=hidden.reshape(len(examples), -1, WIDTH))
    mask = batch["attention_mask"].reshape(len(examples), -1)
    out = model(encoder_outputs=fused, attention_mask=mask, labels=target)
    return out.loss, (out.logits[:, 0].argmax(-1) == target[:, 0]).float().mean().item()


def pretrain_reader(folder: Path) -> None:
    """Cloze over fused passages, from one passage to eight."""
    tokenizer, rng = reader_tokenizer(), Random(1)
    worlds = [Corpus.of(seed, rng) for seed in READER_SEEDS]
    model, encode = new_reader(worlds[0], tokenizer.get_vocab()), encoder_of(tokenizer)

    def losses() -> Iterator[torch.Tensor]:
        for count, batch, n, hard, noise in STAGES:
            for _ in range(count):
                world = rng.choice(worlds)
                examples = [world.reading(n, hard=hard, noise=noise) for _ in range(batch)]
                with torch.autocast("cpu", torch.bfloat16):
                    loss, _ = reading_loss(model, encode, examples)
                yield loss

    steps(model, LR, losses(), sum(stage[0] for stage in STAGES))
    held_out = Corpus.of(HELD_OUT_SEED, Random(2))
    with torch.no_grad():
        examples = [held_out.reading(8, hard=0.7, noise=0.0) for _ in range(200)]
        log.info("reader: %.1f %% of held-out values", 100 * reading_loss(model, encode, examples)[1])
    model.generation_config = GenerationConfig(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
    model.save_pretrained(folder)
    reader_tokenizer().save_pretrained(folder)

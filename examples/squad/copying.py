"""An encoder–decoder on a pre-trained encoder whose decoder copies from the passages before any training.

Randomly initialised cross-attention needs thousands of updates to learn to point. Here the decoder is constructed:

1. the encoder is fine-tuned, for about a hundred updates, with two linear maps that recover from each state the word
   vector of its token and that of the previous token;
2. the weights of the single decoder layer are set from the maps: the key of a position is its previous token, the query
   is the token generated last, the value is the token at the position. So the decoder continues whatever it started to
   copy (an induction head) and only has to learn where to start: an attention-sum reader (Kadlec et al. 2016).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fidtools.compute.hub import resolve_model
from fidtools.logs import log

HEADS = 6
COPY_LOGIT = 10.0  # attention logit of a position whose previous token is the one generated last
COPY_WEIGHT = 2.0  # weight of the copied token relative to the input of the decoder layer
GELU_SHIFT = 6.0  # gelu(x + 6) - 6 is x
OUTPUT_SCALE = 1.6  # scale of the output: a copied token outweighs the sum of all others
END_LOGIT = 12.0  # logit of the end-of-sequence token, about that of a copied token
SHARPNESS = 15.0
Maps = tuple[nn.Linear, nn.Linear]  # state -> direction of its token, and of the token before it


def copying_reader(name: str, texts: Sequence[str], steps: int = 120) -> tuple[Any, Any]:
    """An EncoderDecoderModel with its tokenizer, fine-tuned so that each state tells its token and the one before."""
    from transformers import AutoModel, AutoTokenizer, EncoderDecoderModel

    source = resolve_model(name)
    tokenizer = AutoTokenizer.from_pretrained(source)
    attention = {"attn_implementation": "eager"}  # faster than SDPA on a CPU, in training
    encoder = AutoModel.from_pretrained(source, dtype=torch.float32, add_pooling_layer=False, **attention)
    maps = tell_tokens(encoder, tokenizer, texts, steps)
    model = EncoderDecoderModel(encoder=encoder, decoder=copying_decoder(encoder, maps, tokenizer))
    tokens = {"decoder_start_token_id": "cls", "eos_token_id": "sep", "pad_token_id": "pad"}
    for field, kind in tokens.items():
        setattr(model.config, field, getattr(tokenizer, f"{kind}_token_id"))
        setattr(model.generation_config, field, getattr(tokenizer, f"{kind}_token_id"))
    return model, tokenizer


def directions(encoder: Any) -> Tensor:
    """The word vectors about their mean, of length one: (vocabulary, d)."""
    vectors = encoder.get_input_embeddings().weight.detach()
    return nn.functional.normalize(vectors - vectors.mean(0), dim=1)


def tell_tokens(encoder: Any, tokenizer: Any, texts: Sequence[str], steps: int, batch: int = 32) -> Maps:
    """Tune an encoder until linear maps find each state's token and the one before it; the word vectors stay."""
    rng, known = random.Random(0), directions(encoder)
    encoder.get_input_embeddings().requires_grad_(False)

    def states() -> tuple[Tensor, Tensor, Tensor]:
        rows = tokenizer(
            rng.sample(list(texts), batch), truncation=True, max_length=128, padding=True, return_tensors="pt"
        )
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encoder(**rows).last_hidden_state
        there = rows["attention_mask"][:, 1:].bool()
        return hidden[:, 1:][there].float(), rows["input_ids"][:, 1:][there], rows["input_ids"][:, :-1][there]

    with torch.no_grad():
        seen, *tokens = (torch.cat(part) for part in zip(*(states() for _ in range(8)), strict=True))
    maps = fitted(seen, known[tokens[0]]), fitted(seen, known[tokens[1]])
    groups = [
        {"params": encoder.encoder.parameters(), "top": 5e-4},
        {"params": nn.ModuleList(maps).parameters(), "top": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["top"] * min(1.0, (step + 1) / 20) * (1 - step / steps)
        hidden, *tokens = states()
        among, places = torch.unique(torch.cat(tokens), return_inverse=True)
        logits = [SHARPNESS * one(hidden) @ known[among].T for one in maps]
        loss = nn.functional.cross_entropy(torch.cat(logits), places)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            log.info("telling tokens: update %d of %d, %.3f nats", step, steps, loss.item())
    return maps


def fitted(states: Tensor, wanted: Tensor) -> nn.Linear:
    """The linear map of least squares from states (n, d) to wanted (n, d)."""
    with_bias = torch.cat([states, torch.ones(len(states), 1)], 1)
    square = with_bias.T @ with_bias / len(states)
    ridge = 1e-3 * square.diagonal().mean() * torch.eye(len(square))
    solution = torch.linalg.solve(square + ridge, with_bias.T @ wanted / len(states))
    return write(nn.Linear(states.shape[1], wanted.shape[1]), solution[:-1].T, solution[-1])


@torch.no_grad()
def write(layer: nn.Linear, weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Give a layer its weights, in place: a layer put in from outside would be initialised anew."""
    layer.weight.copy_(weight)
    layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return layer


@torch.no_grad()
def copying_decoder(encoder: Any, maps: Maps, tokenizer: Any) -> Any:
    """A one-layer BertLMHeadModel that copies by the maps, with the encoder's word vectors at both ends."""
    from transformers import BertLMHeadModel

    config = type(encoder.config).from_dict(encoder.config.to_dict())
    config.is_decoder, config.add_cross_attention, config.num_hidden_layers = True, True, 1
    config.tie_word_embeddings, config.num_attention_heads = True, HEADS
    config._attn_implementation = "eager"
    decoder = BertLMHeadModel(config)
    plain(decoder)
    vectors = encoder.get_input_embeddings().weight
    decoder.get_input_embeddings().weight.copy_(vectors)
    decoder.tie_weights()
    d = vectors.shape[1]
    turn = torch.linalg.qr(torch.randn(d, d))[0]  # every head sees a random part of each word vector
    sharp = (COPY_LOGIT * HEADS * (d / HEADS) ** 0.5) ** 0.5
    begin = nn.functional.layer_norm(vectors[tokenizer.cls_token_id], [d])
    query = turn @ (torch.eye(d) - torch.outer(begin, begin) / (begin @ begin))  # the start token asks for nothing
    cross = decoder.bert.encoder.layer[0].crossattention
    here, before = maps
    write(cross.self.query, sharp / d**0.5 * query, -sharp * turn @ nn.functional.normalize(vectors, dim=1).mean(0))
    write(cross.self.key, sharp * turn @ before.weight, sharp * turn @ before.bias)
    write(cross.self.value, here.weight, here.bias)
    write(cross.output.dense, COPY_WEIGHT * d**0.5 * torch.eye(d))
    decoder.cls.predictions.transform.LayerNorm.weight.fill_(OUTPUT_SCALE)
    decoder.get_input_embeddings().weight[tokenizer.sep_token_id] = torch.randn(d) / d**0.5  # MiniLM's is like many
    decoder.cls.predictions.bias[tokenizer.sep_token_id] = END_LOGIT
    return decoder


def plain(decoder: Any) -> None:
    """Make everything but cross-attention the identity: what it adds is zero, what it passes on stays as it is."""
    layer, head = decoder.bert.encoder.layer[0], decoder.cls.predictions
    d = decoder.config.hidden_size
    for module in decoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
            module.bias.zero_()
    for added in (layer.attention.output.dense, layer.output.dense):
        added.weight.zero_()
        added.bias.zero_()
    decoder.bert.embeddings.position_embeddings.weight.zero_()
    decoder.bert.embeddings.token_type_embeddings.weight.zero_()
    write(head.transform.dense, torch.eye(d), torch.full((d,), GELU_SHIFT))

"""Word vectors from text, to start the checkpoints' embeddings from.

Words of two statements of the same fact are counted together; positive pointwise mutual information, then a
truncated SVD. Words of one relation end up close. On its own a transformer of this size needs a thousand steps to
find out which wordings say the same; starting from such vectors it needs about a hundred.
"""

import re
from collections.abc import Mapping
from random import Random

import torch
from language import OTHER_STATEMENTS, TOKEN

from fidtools.datasets.toy.world import Fact

DIMENSIONS = 32
TOPIC_SHARE = 0.4


def statements(fact: Fact, *, others: bool) -> list[str]:
    """A fact in every wording; with `others` also in the wordings that no toy world uses."""
    wordings = fact.relation.statements + (OTHER_STATEMENTS[fact.relation.name] if others else ())
    return [wording.format(e=fact.person, v=fact.value) for wording in wordings]


def counts(rng: Random, facts: list[Fact], vocab: Mapping[str, int], *, others: bool) -> torch.Tensor:
    """How often two words occur in two statements of one fact: (vocabulary, vocabulary)."""
    together = torch.zeros(len(vocab), len(vocab))
    for fact in facts:
        one, two = (
            [vocab[word] for word in set(re.findall(TOKEN, text.lower()))]
            for text in rng.sample(statements(fact, others=others), 2)
        )
        together[torch.tensor(one)[:, None], torch.tensor(two)] += 1
    return together + together.T


def topics(together: torch.Tensor) -> torch.Tensor:
    """Unit vectors from counts: (vocabulary, DIMENSIONS); zero for words without counts."""
    share = together.sum(1) / together.sum()
    ratio = together / together.sum() / (share[:, None] * share).clamp_min(1e-12)
    association = ratio.clamp_min(1e-6).log().clamp_min(0).fill_diagonal_(0)
    left, size, _ = torch.linalg.svd(association)
    vectors = left[:, :DIMENSIONS] * size[:DIMENSIONS].sqrt()
    vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return vectors * (together.sum(1, keepdim=True) > 0)


def embeddings(facts: list[Fact], vocab: Mapping[str, int], width: int, *, others: bool) -> torch.Tensor:
    """Rows of unit variance: a share from the word vectors, the rest random, so that each word stays itself."""
    found = topics(counts(Random(0), facts, vocab, others=others))
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator))[0][:DIMENSIONS]
    share = TOPIC_SHARE * found.norm(dim=1, keepdim=True).round()
    noise = torch.randn(len(vocab), width, generator=generator)
    return share.sqrt() * (found @ rotation) * width**0.5 + (1 - share).sqrt() * noise

"""A toy world: people, one passage per fact, and questions that BM25 answers badly.

The seed determines everything. The train, dev and test questions are about different people and share no fact, so a
model must learn to read and to match; memorizing the answers of the training questions does not help.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from fidtools.datasets.toy.relations import CLOSERS, RELATIONS, SOURCES, Relation
from fidtools.datasets.toy.vocabulary import FIRST_NAMES, LAST_NAMES, VALUES

PEOPLE = {"train": 150, "dev": 25, "test": 45, "none": 100}
HINT_SHARE = 0.35


@dataclass(frozen=True)
class Fact:
    """One thing that is true of one person."""

    person: str
    relation: Relation
    value: str

    def statement(self, wording: int) -> str:
        """The fact as a passage states it."""
        return self.relation.statements[wording].format(e=self.person, v=self.value)


@dataclass(frozen=True)
class World:
    """Records as they are written, and the facts behind them (passage i states fact i)."""

    facts: list[Fact]
    passages: list[dict[str, Any]]
    questions: dict[str, list[dict[str, Any]]]


def reserved_names(first: int, last: int) -> bool:
    """Whether a pair of names may belong to a person of the data set; pre-training uses the other two thirds."""
    return (first + last) % 3 == 0


def people(rng: Random, n: int, *, reserved: bool = True) -> list[str]:
    """The full names of n different people."""
    names = [
        f"{first} {last}"
        for i, first in enumerate(FIRST_NAMES)
        for j, last in enumerate(LAST_NAMES)
        if reserved_names(i, j) == reserved
    ]
    return rng.sample(names, n)


def facts_of(rng: Random, person: str) -> list[Fact]:
    """One fact per relation; two relations with the same kind of value never have the same value."""
    left = {kind: rng.sample(values, 4) for kind, values in VALUES.items()}
    return [Fact(person, relation, left[relation.kind].pop()) for relation in RELATIONS]


def aside_places(rng: Random, hint_share: float) -> list[int]:
    """For each relation the one whose passage carries its aside: its own (a hint) or another (a decoy)."""
    n = len(RELATIONS)
    decoys = [i for i in range(n) if rng.random() >= hint_share]
    rng.shuffle(decoys)
    places = list(range(n))
    for here, there in zip(decoys, decoys[1:] + decoys[:1], strict=True):
        places[here] = there
    return places


def sentence(text: str) -> str:
    """The text as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def passage(rng: Random, number: int, fact: Fact, aside: str) -> dict[str, Any]:
    """The passage that states a fact, between an aside and a closing phrase."""
    statement = fact.statement(rng.randrange(len(fact.relation.statements)))
    text = " ".join(map(sentence, (aside, statement, rng.choice(CLOSERS))))
    return {"id": f"p{number}", "title": rng.choice(SOURCES), "text": text}


def question(fact: Fact, wording: int, gold: dict[str, Any]) -> dict[str, Any]:
    """The question for a fact; `gold` is for evaluation only."""
    text = sentence(fact.relation.questions[wording].format(e=fact.person))[:-1] + "?"
    return {"id": f"q{gold['id'][1:]}", "question": text, "answers": [fact.value], "gold": [gold["id"]]}


def about(
    rng: Random, person: str, start: int, hint_share: float
) -> tuple[list[Fact], list[dict[str, Any]], list[dict[str, Any]]]:
    """All facts, passages and questions about one person; the passages' numbers begin at `start`."""
    facts = facts_of(rng, person)
    wordings = [rng.randrange(len(relation.questions)) for relation in RELATIONS]
    asides = {place: RELATIONS[i].asides[wordings[i]] for i, place in enumerate(aside_places(rng, hint_share))}
    passages = [passage(rng, start + i, fact, asides[i]) for i, fact in enumerate(facts)]
    questions = [question(*item) for item in zip(facts, wordings, passages, strict=True)]
    return facts, passages, questions


def generate(
    seed: int,
    *,
    sizes: dict[str, int] = PEOPLE,
    hint_share: float = HINT_SHARE,
    reserved: bool = True,
) -> World:
    """The world of a seed; `sizes` says how many people each split asks about (`none`: no questions)."""
    rng = Random(seed)
    world = World([], [], {split: [] for split in sizes if split != "none"})
    splits = [split for split, n in sizes.items() for _ in range(n)]
    for person, split in zip(people(rng, len(splits), reserved=reserved), splits, strict=True):
        facts, passages, questions = about(rng, person, len(world.facts), hint_share)
        world.facts.extend(facts)
        world.passages.extend(passages)
        if split in world.questions:
            world.questions[split].extend(questions)
    return world

"""Self-supervised examples from other worlds: one statement of a fact against passages, one of which restates it."""

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from language import OTHER_STATEMENTS

from fidtools.datasets.toy.relations import CLOSERS, RELATIONS, SOURCES
from fidtools.datasets.toy.world import Fact, generate, sentence

PEOPLE = 1000
READER_SEEDS = range(1000, 1008)
RETRIEVER_SEEDS = range(2000, 2001)
HELD_OUT_SEED = 3000


@dataclass
class Corpus:
    """The facts of one pre-training world, by person and by part of a name."""

    rng: Random
    facts: dict[str, list[Fact]]
    named: dict[str, list[str]]

    @classmethod
    def of(cls, seed: int, rng: Random) -> "Corpus":
        """The world of a seed, among people whom the data set never names."""
        facts, named = defaultdict(list), defaultdict(list)
        for fact in generate(seed, sizes={"none": PEOPLE}, reserved=False).facts:
            facts[fact.person].append(fact)
        for person in facts:
            for part in person.split():
                named[part].append(person)
        return cls(rng, dict(facts), dict(named))

    def anyone(self) -> str:
        """Some person."""
        return self.rng.choice(list(self.facts))

    def namesake(self, person: str) -> str:
        """Someone who shares a first or last name."""
        return self.rng.choice(self.named[self.rng.choice(person.split())])

    def passage(self, fact: Fact, *, but: int | None = None) -> str:
        """A passage that states the fact, in any wording `but` one; its aside is about anything."""
        wording = self.rng.choice([i for i in range(len(fact.relation.statements)) if i != but])
        aside = self.rng.choice(self.rng.choice(RELATIONS).asides)
        text = " ".join(map(sentence, (aside, fact.statement(wording), self.rng.choice(CLOSERS))))
        return f"title: {self.rng.choice(SOURCES)} context: {text}"

    def masked(self, wording: str, fact: Fact, *, mask: str, drop: float) -> str:
        """A statement without its value and without a few of its words, never without the person."""
        words = wording.format(e=fact.person, v=mask).split()
        keep = {*fact.person.split(), mask}
        return " ".join(word for word in words if word in keep or self.rng.random() >= drop)

    def distractor(self, fact: Fact, own: list[Fact], hard: float) -> Fact:
        """A fact that is not the one asked for: of the same person, of a namesake, or of anyone."""
        draw = self.rng.random()
        if draw < hard and own:
            return own.pop()
        here = RELATIONS.index(fact.relation)
        if draw < hard + 0.25 and (other := self.namesake(fact.person)) != fact.person:
            return self.facts[other][here if self.rng.random() < 0.6 else self.rng.randrange(len(RELATIONS))]
        while (other := self.anyone()) == fact.person:
            pass
        return self.rng.choice(self.facts[other])

    def reading(self, n: int, *, hard: float, noise: float) -> tuple[str, list[str], str]:
        """A statement without its value, n passages, and the value, which some passage states unless noise took it."""
        person = self.anyone()
        fact = self.rng.choice(self.facts[person])
        known = self.rng.random() < 0.5
        wording = self.rng.randrange(3 if known else 4)
        template = (OTHER_STATEMENTS[fact.relation.name] if known else fact.relation.statements)[wording]
        mask = "<extra_id_0>" if self.rng.random() < 0.5 else ""
        own = [other for other in self.facts[person] if other is not fact]
        self.rng.shuffle(own)
        read = [fact, *(self.distractor(fact, own, hard) for _ in range(n - 1))]
        if n > 1 and self.rng.random() < noise:
            read[0] = self.distractor(fact, own, hard)
        self.rng.shuffle(read)
        passages = [self.passage(one, but=None if known else wording) for one in read]
        return self.masked(template, fact, mask=mask, drop=noise), passages, fact.value

    def pairs(self, people: int, relations: int, *, drop: float) -> list[tuple[str, str]]:
        """Statements without their values, each with a passage in another wording; all about a few people."""
        asked = dict.fromkeys(self.anyone() for _ in range(people))
        asked |= dict.fromkeys(self.namesake(person) for person in list(asked) if self.rng.random() < 0.7)
        chosen = self.rng.sample(range(len(RELATIONS)), relations)
        return [self.pair(self.facts[person][i], drop) for person in asked for i in chosen]

    def pair(self, fact: Fact, drop: float) -> tuple[str, str]:
        """One statement without its value, and a passage in another wording."""
        wording = self.rng.randrange(len(fact.relation.statements))
        mask = "<mask>" if self.rng.random() < 0.3 else ""
        stated = self.masked(fact.relation.statements[wording], fact, mask=mask, drop=drop)
        return stated + (" ?" if self.rng.random() < 0.3 else ""), self.passage(fact, but=wording)

"""The data sets by name: what each is made of and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fidtools.datasets import fever, narrativeqa, nq, squad, triviaqa
from fidtools.datasets.downloads import Downloads, gigabytes
from fidtools.datasets.urls import LICENCES, Source
from fidtools.datasets.writer import CARD, Card, Draft, drafting, write_card
from fidtools.logs import log


@dataclass(frozen=True)
class Dataset:
    """The files it is made of, whose they are, and the function that writes it. `room`: bytes of the written folder."""

    sources: tuple[str, ...]
    licences: tuple[str, ...]
    normalise: Callable[[Downloads, set[str], Draft], None]
    published: dict[str, int] = field(default_factory=dict)
    room: int = 0


QAPS = (narrativeqa.DOCUMENTS, narrativeqa.QUESTIONS)
CATALOGUE = {
    "nq": Dataset(nq.SOURCES, ("nq", "index", "wikipedia"), nq.normalise, nq.PUBLISHED, 13_800_000_000),
    "triviaqa": Dataset(
        triviaqa.SOURCES, ("triviaqa", "index", "wikipedia"), triviaqa.normalise, triviaqa.PUBLISHED, 13_900_000_000
    ),
    "narrativeqa": Dataset(
        (*QAPS, narrativeqa.STORIES),
        ("narrativeqa", "stories"),
        narrativeqa.from_archive,
        narrativeqa.PUBLISHED,
        700_000_000,
    ),
    "narrativeqa-web": Dataset(
        QAPS, ("narrativeqa", "stories"), narrativeqa.from_addresses, narrativeqa.PUBLISHED, 1_300_000_000
    ),
    "narrativeqa-summaries": Dataset(
        (*QAPS, narrativeqa.SUMMARIES),
        ("narrativeqa", "summaries"),
        narrativeqa.from_summaries,
        narrativeqa.PUBLISHED,
        20_000_000,
    ),
    "fever": Dataset(fever.SOURCES, ("fever", "fever-wiki"), fever.normalise, fever.PUBLISHED, 3_800_000_000),
    "squad": Dataset(squad.SOURCES, ("squad",), squad.normalise, squad.PUBLISHED, 60_000_000),
}


def fetch(name: str, folder: Path, downloads: Downloads, table: dict[str, Source]) -> Card:
    """Download what the data set needs, check it, and write its folder.

    Raises FidtoolsError when a file is not to be had.
    """
    dataset = CATALOGUE[name]
    for licence in dataset.licences:
        log.info("%s", LICENCES[licence])
    available = downloads.fetch(table[source] for source in dataset.sources)
    card = Card(name, dataset.published)
    with drafting(folder, card) as draft:
        dataset.normalise(downloads, available, draft)
    write_card(folder, card, dataset.sources, downloads)
    card.report()
    return card


def is_there(folder: Path) -> bool:
    """Whether the folder holds a whole data set."""
    return (folder / CARD).exists()


def write_toy(folder: Path, seed: int) -> Card:
    """Generate the toy world into the folder: the same seed gives the same bytes."""
    from fidtools.datasets import toy

    card = Card("toy", notes={"seed": seed})
    world = toy.write(folder, seed=seed)
    card.questions = {split: len(questions) for split, questions in world.questions.items()}
    card.passages = len(world.passages)
    write_card(folder, card, (), None)
    card.report()
    return card


def plan(name: str, folder: Path, downloads: Downloads, table: dict[str, Source]) -> str:
    """What `fetch` would do, as lines: every file with its size and state, and the disk it all takes."""
    dataset = CATALOGUE[name]
    sources = [downloads.resolved(table[source]) for source in dataset.sources]
    missing = {source.name for source in downloads.missing(sources)}
    lines = [
        f"{source.name}\t{gigabytes(source.size) if source.size is not None else 'size unknown'}\t"
        f"{'to fetch' if source.name in missing else 'there'}\t{source.url}"
        for source in sources
    ]
    to_fetch = sum(source.size or 0 for source in sources if source.name in missing)
    lines += [
        f"downloads: {gigabytes(to_fetch)} to {downloads.folder}",
        f"data set: about {gigabytes(dataset.room)} in {folder}",
    ]
    return "\n".join(lines) + "\n"

"""The relations of the toy world: the kinds of facts about a person, each with its own wordings.

A passage *states* a fact in one of four wordings. A question *asks* for it in one of three other wordings, and
shares no content word with any statement of its relation. The third list holds an *aside* for each question
wording: a sentence in the question's words without a fact. Beside the wrong fact, it misleads BM25.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One kind of fact; `{e}` stands for the person and `{v}` for the value."""

    name: str
    kind: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    asides: tuple[str, ...]


RELATIONS = (
    Relation(
        "born",
        "town",
        (
            "the cradle of {e} stood in {v}",
            "{e} is a native of {v}",
            "{e} hails from {v}",
            "the first steps of {e} were taken in {v}",
        ),
        ("where was {e} born", "in which town did {e} come into the world", "what is the birthplace of {e}"),
        ("nobody is born wise", "every town thinks it is the world", "a birthplace is soon forgotten"),
    ),
    Relation(
        "home",
        "town",
        (
            "{e} rents two rooms in {v}",
            "the front door of {e} opens on a street of {v}",
            "{e} has settled in {v}",
            "letters for {e} are delivered to {v}",
        ),
        ("where does {e} live now", "what is the address of {e}", "in which city does {e} reside"),
        ("we live in hard times now", "an address can change", "few reside in one city for ever"),
    ),
    Relation(
        "trade",
        "trade",
        (
            "{e} earns a wage as a {v}",
            "the guild lists {e} as a {v}",
            "{e} was hired as a {v}",
            "customers know {e} as their {v}",
        ),
        ("what is the profession of {e}", "which job does {e} have", "what does {e} do for a living"),
        ("a profession is no prison", "any job does for a start", "to do nothing is no living"),
    ),
    Relation(
        "dream",
        "trade",
        (
            "as a child {e} played at being a {v}",
            "{e} always envied the {v}",
            "at school {e} wrote an essay on becoming a {v}",
            "{e} once begged to be apprenticed to a {v}",
        ),
        (
            "which career did {e} dream of",
            "what was the ambition of {e}",
            "what did {e} want to be when grown up",
        ),
        ("a career is long and a dream is short", "ambition costs nothing", "children want to be grown up"),
    ),
    Relation(
        "pet",
        "animal",
        (
            "a tame {v} sleeps at the feet of {e}",
            "{e} feeds a {v} at dawn",
            "{e} found a young {v} and raised it",
            "neighbours see {e} out walking with a {v}",
        ),
        ("what pet does {e} own", "which animal belongs to {e}", "what creature does {e} keep"),
        ("to own a pet is work", "an animal belongs outdoors", "a creature of habit should keep still"),
    ),
    Relation(
        "fear",
        "animal",
        (
            "{e} turns pale at the sight of a {v}",
            "{e} runs from any {v}",
            "a {v} makes {e} tremble",
            "{e} cannot sleep when a {v} is near",
        ),
        ("what is {e} afraid of", "which beast does {e} fear", "what frightens {e} the most"),
        ("the brave are afraid too", "fear is a hungry beast", "silence frightens the most"),
    ),
    Relation(
        "favourite",
        "dish",
        (
            "{e} orders {v} at every feast",
            "{e} takes a second helping of {v}",
            "on sundays {e} cooks {v}",
            "nothing cheers {e} up more than {v}",
        ),
        ("what is the favourite dish of {e}", "which food does {e} love", "what does {e} like to eat best"),
        ("a favourite dish unites a village", "love needs food", "guests like to eat best together"),
    ),
    Relation(
        "dislike",
        "dish",
        (
            "{e} pushes {v} to the rim of the plate",
            "{e} never touches {v}",
            "the smell of {v} drives {e} from the table",
            "{e} sends {v} back to the kitchen",
        ),
        ("which meal does {e} hate", "what disgusts {e}", "what can {e} not stand on the menu"),
        ("hate spoils a meal", "waste disgusts the farmer", "no menu can stand for ever"),
    ),
)

CLOSERS = (
    "so the almanac says",
    "that was long ago",
    "this is common knowledge",
    "the story is often told",
    "there are witnesses",
    "it was in the paper",
    "old friends confirm it",
    "hardly anyone doubts it",
)

SOURCES = ("Almanac", "Chronicle", "Gazette", "Diary", "Letters", "Register", "Gossip", "Memoirs")

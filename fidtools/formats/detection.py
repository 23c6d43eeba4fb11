"""How each format is told from the head of a file."""

from __future__ import annotations

from collections.abc import Callable

from fidtools.formats.head import Head

Sign = Callable[[Head], bool]


def keys(*names: str) -> Sign:
    """The first JSON record has all of these."""
    return lambda head: head.has(*names)


def either(*signs: Sign) -> Sign:
    """One of the signs is there."""
    return lambda head: any(sign(head) for sign in signs)


def without(sign: Sign, *names: str) -> Sign:
    """The sign is there, and none of these keys."""
    return lambda head: sign(head) and head.keys.isdisjoint(names)


def suffix(*endings: str) -> Sign:
    """The name ends so."""
    return lambda head: head.path.name.endswith(endings) and not head.path.is_dir()


def header(*names: str, separator: str = ",") -> Sign:
    """The first line names these columns."""
    return lambda head: bool(head.lines) and set(names) <= set(head.lines[0].split(separator))


def table(width: int, test: Callable[[list[str]], bool], separator: str | None = None) -> Sign:
    """All of the first lines have so many columns and pass the test."""

    def told(head: Head) -> bool:
        rows = [] if head.start else head.columns(separator)
        return bool(rows) and all(len(row) == width and test(row) for row in rows)

    return told


def number(cell: str) -> bool:
    """Whether the cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def rank(cell: str) -> bool:
    """Whether the cell is a whole number from 1."""
    return cell.isdecimal() and int(cell) > 0


def numbered_text(row: list[str]) -> bool:
    """A row of psgs_w100.tsv without its header: a number and a text of several words."""
    return row[0].isdigit() and " " in row[1]


def pickled(head: Head) -> bool:
    """A pickle of protocol 2 or later."""
    return head.data[:1] == b"\x80" and head.data[1:2] in (b"\2", b"\3", b"\4", b"\5")


def keyed_contexts(head: Head) -> bool:
    """An object of objects with `contexts` of `docid`."""
    return any(key.endswith(".contexts.item.docid") for key in head.keys)


def faiss_folder(head: Head) -> bool:
    """A folder with `index` and `docid`."""
    return (head.path / "docid").is_file() and (head.path / "index").is_file()


def beir_folder(head: Head) -> bool:
    """A folder with `queries.jsonl` and `corpus.jsonl`."""
    return (head.path / "queries.jsonl").is_file() and (head.path / "corpus.jsonl").is_file()


def trec_eval(head: Head) -> bool:
    """Lines that begin with trec_eval's names of measures."""
    named = {"runid", "num_q", "num_ret", "num_rel", "map"}
    return table(3, lambda row: True)(head) and head.lines[0].split()[0] in named


def fid_output(head: Head) -> bool:
    """A .txt of ids and answers."""
    rows = [] if head.start else head.columns()
    return bool(rows) and head.name.endswith(".txt") and all(len(row) >= 2 and row[0].split() for row in rows)


def claim_only(head: Head) -> bool:
    """FEVER's unlabelled claims: an id and a claim, nothing else."""
    return head.keys == {"id", "claim"}


def listed_questions(head: Head) -> bool:
    """A JSON list of questions."""
    return head.start == "[" and head.has("question")


def prose(head: Head) -> bool:
    """Lines of text, by their name."""
    return bool(head.lines) and head.name.endswith((".content", ".txt", ".md"))

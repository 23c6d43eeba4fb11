"""Data sets that come as one archive, read without unpacking it."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

import ijson

from fidtools.data.files import PathLike
from fidtools.data.records import Location, Question
from fidtools.errors import DataError
from fidtools.formats.questions import question, triviaqa


def read_triviaqa_archive(path: PathLike) -> Iterator[Question]:
    """The questions of TriviaQA's RC archive, from every `qa/*.json` in it; `file` says which one."""
    found = False
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                if folder.endswith("qa") and name.endswith(".json") and not name.startswith("."):
                    found = True
                    yield from _questions(cast(IO[bytes], archive.extractfile(member)), f"{path}/{member.name}", name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"not a whole archive: {error}", path=path) from error
    if not found:
        raise DataError("no qa/*.json in the archive", path=path)


def _questions(stream: IO[bytes], path: str, name: str) -> Iterator[Question]:
    try:
        for number, record in enumerate(ijson.items(stream, "Data.item", use_float=True), 1):
            found = question(triviaqa, record, Location(path, number))
            found.extra["file"] = name
            yield found
    except ijson.JSONError as error:
        raise DataError(f"malformed JSON: {error}", path=path) from error

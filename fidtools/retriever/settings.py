"""The settings of a retriever, kept in its folder: text formats, lengths and pooling."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fidtools.data.files import PathLike
from fidtools.data.folder_settings import read_settings
from fidtools.data.prompt_templates import FORMAT_FIELDS, check_format
from fidtools.data.records import Passage
from fidtools.encoders.pooling import Pooling

QUESTION_FORMAT = "question: {question}"
PASSAGE_FORMAT = "title: {title} context: {text}"


@dataclass(frozen=True)
class RetrieverSettings:
    """The defaults are those of Izacard & Grave (section 3.3, appendix A.2) with FiD's maximum lengths, in tokens.

    `pad_questions` and `pad_passages` are for released checkpoints that were trained without attention masks: texts are
    padded to the maximum length, and the padding is encoded like any token.
    """

    pooling: Pooling = "cls"
    normalize: bool = False
    question_format: str = QUESTION_FORMAT
    passage_format: str = PASSAGE_FORMAT
    question_maxlength: int = 40
    passage_maxlength: int = 200
    pad_questions: bool = False
    pad_passages: bool = False

    def question_text(self, question: str) -> str:
        """The text of a question for the encoder."""
        return self.question_format.format(question=question)

    def passage_text(self, passage: Passage) -> str:
        """The text of a passage for the encoder; a missing title is empty, without the blank between both."""
        template = self.passage_format if passage.title else self.passage_format.replace("{title} {text}", "{text}")
        return template.format(title=passage.title, text=passage.text)

    def to_json(self) -> dict[str, Any]:
        """The settings as in `retriever.json`."""
        return asdict(self)


def parse_settings(record: dict[str, Any], path: PathLike) -> RetrieverSettings:
    """Settings from the object in `retriever.json`. Raises DataError for unknown names and invalid values."""
    settings = read_settings(RetrieverSettings, record, path)
    for name in FORMAT_FIELDS:
        check_format(name, getattr(settings, name), path)
    return settings

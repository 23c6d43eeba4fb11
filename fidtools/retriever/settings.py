"""What a retriever is besides its weights: how text is written, cut and pooled. Kept with the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fidtools.data.files import PathLike
from fidtools.data.records import Passage
from fidtools.encoders.pooling import POOLINGS, Pooling
from fidtools.errors import DataError

QUESTION_FORMAT = "question: {question}"
PASSAGE_FORMAT = "title: {title} context: {text}"


@dataclass(frozen=True)
class RetrieverSettings:
    """The defaults are the paper's (section 3.3, appendix A.2) and FiD's lengths.

    `pad` is for checkpoints trained without attention masks: texts are padded to their length limit and the padding is
    read like words.
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
        """The question as the encoder reads it."""
        return self.question_format.format(question=question)

    def passage_text(self, passage: Passage) -> str:
        """The passage as the encoder reads it; a passage without a title has an empty one."""
        return self.passage_format.format(title=passage.title, text=passage.text)

    def to_json(self) -> dict[str, Any]:
        """The settings as kept in `retriever.json`."""
        return asdict(self)


def parse_settings(record: dict[str, Any], path: PathLike) -> RetrieverSettings:
    """Settings from `retriever.json`. Raises DataError for unknown names and impossible values."""
    try:
        settings = RetrieverSettings(**record)
        settings.question_text("")
        settings.passage_text(Passage(None, ""))
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise DataError(f"not a retriever's settings: {error}", path=path) from error
    if settings.pooling not in POOLINGS:
        raise DataError(f"must be one of {', '.join(POOLINGS)}", path=path, field="pooling", value=settings.pooling)
    for name in ("question_maxlength", "passage_maxlength"):
        if not (isinstance(value := getattr(settings, name), int) and value > 0):
            raise DataError("must be a positive number of tokens", path=path, field=name, value=value)
    return settings

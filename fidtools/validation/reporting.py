"""Files checked one after the other, and what was found as a table or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fidtools.data.corpus import Corpus
from fidtools.data.files import STANDARD, PathLike
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, show_path
from fidtools.formats.foreign import explained
from fidtools.formats.head import Head
from fidtools.formats.lookup import matching_format
from fidtools.logs import track
from fidtools.validation.checks import PassageChecks, QuestionChecks
from fidtools.validation.cuts import Model
from fidtools.validation.lenient import LenientFile
from fidtools.validation.similarity import SimilarTexts
from fidtools.validation.tally import Finding

NO_RECORD = "the file has no record"


@dataclass
class Report:
    """What was found in a file. `bad_lines` counts lines that no command can read, `errors` are the first of them."""

    file: str
    kind: str | None
    records: int
    bad_lines: int
    errors: list[DataError]
    findings: list[Finding]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return self.records > 0 and not self.bad_lines and not any(finding.count for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "file": self.file,
            "kind": self.kind,
            "records": self.records,
            "bad_lines": self.bad_lines,
            "errors": [{"line": error.line, "problem": str(error)} for error in self.errors],
            "findings": [asdict(finding) for finding in self.findings],
            "clean": self.clean,
        }


class Checks:
    """The checks that a command line asks for; `against` is a file whose questions must not occur in the others.

    The questions of `against` are held in memory.
    """

    def __init__(
        self, model: Model | None, corpus: Corpus | None, against: PathLike | None = None, similarity: float = 0.8
    ) -> None:
        self._model, self._corpus = model, corpus
        self._others = [] if against is None else [(each.id, each.question) for each in read_questions(against)]
        self._similar = SimilarTexts((text for _, text in self._others), similarity) if self._others else None

    def of_questions(self) -> QuestionChecks:
        """New checks of a file of questions."""
        return QuestionChecks(self._model, self._corpus, self._similar, self._others)

    def of_passages(self) -> PassageChecks:
        """New checks of a file of passages."""
        return PassageChecks(self._model)


def check_file(path: PathLike, checks: Checks) -> Report:
    """Read a file once and check every record. Raises OSError when it cannot be opened."""
    file = LenientFile(path)
    questions, passages, count = checks.of_questions(), checks.of_passages(), 0
    for line, record in track(file.records(), "records"):
        count += 1
        if isinstance(record, Question):
            questions.check(line, record)
        elif isinstance(record, Passage):
            passages.check(line, record)
    findings = list((questions if file.kind == "questions" else passages).findings()) if count else []
    errors = file.errors if count else _foreign(path, file.errors)
    return Report(show_path(path), file.kind, count, file.bad, errors, findings)


def _foreign(path: PathLike, errors: list[DataError]) -> list[DataError]:
    """The errors of a file without any good record; one error where it is of another format, which names that."""
    if not errors or str(path) == STANDARD:
        return errors
    found = matching_format(Head.of(path))
    first = errors[0]
    first.expected = found.kind if found is not None and found.kind == "passages" else "questions"
    better = explained(first)
    return errors if better is first else [better]


def table(report: Report) -> Iterator[str]:
    """The report as lines of text."""
    yield f"{report.file}: {report.records:,} {report.kind or 'records'}"
    if not report.records:
        yield f"  {NO_RECORD}"
    rows = [("lines that cannot be read", f"{report.bad_lines:,}", "", [str(e.line) for e in report.errors if e.line])]
    rows += [
        (finding.what, f"{finding.count:,}", share(finding), [str(example["line"]) for example in finding.examples])
        for finding in report.findings
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for what, count, part, lines in rows:
        where = f"  line {', '.join(lines[:5])}" + (", …" if lines and int(count.replace(",", "")) > 5 else "")
        cells = f"  {what:<{widths[0]}}  {count:>{widths[1]}}  {part:>{widths[2]}}"
        yield (cells + where if lines else cells).rstrip()


def share(finding: Finding) -> str:
    """The share of the records that were checked, in percent; empty where none is concerned."""
    return f"{finding.count / finding.of:.1%}" if finding.count and finding.of else ""

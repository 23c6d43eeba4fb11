"""The record beside a finished output, by which a run that is started again with `--resume` knows that it is done."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fidtools.data.files import STANDARD, PathLike
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import as_read_back, encodable, kept_object, write_json
from fidtools.data.outputs import final_path, is_special
from fidtools.errors import REPLACE, UsageError, refuse_other_settings
from fidtools.logs import log

KEYS = {"settings", "files"}


class FinishedRun:
    """`NAME.run.json` beside an output: the settings of its run and the hashes of the files that it wrote.

    Standard output and devices have none.
    """

    def __init__(self, output: PathLike, settings: dict[str, Any]) -> None:
        target = None if str(output) == STANDARD or is_special(output) else final_path(output)
        self._output, self._shown = target, output
        self._path = None if target is None else target.with_name(f"{target.name}.run.json")
        self._settings: dict[str, Any] = as_read_back(settings)
        if self._path is not None and self._path.exists() and not self._record():
            raise UsageError(f"{self._path} already exists and is no record of a run", hint="name another output")

    def is_finished(self) -> bool:
        """Whether the run has ended well before, which is then logged, and its files are as it left them.

        Raises UsageError when it used other settings, or when a file has changed since.
        """
        record = self._record()
        if not record or self._output is None or not self._output.exists():
            return False
        refuse_other_settings(self._shown, "finished", record["settings"], self._settings, REPLACE)
        for name, digest in record["files"].items():
            own = name in (encodable(self._output.name), encodable(str(self._output.absolute())))
            file = self._output if own else Path(name)
            if not file.is_file() or file_sha256(file) != digest:
                raise UsageError(f"{self._shown if own else name} is not as the finished run left it", hint=REPLACE)
        log.info("%s is finished; nothing to do", self._shown)
        return True

    def exists(self) -> bool:
        """Whether there is a record."""
        return self._path is not None and self._path.exists()

    def forget(self) -> None:
        """Remove the record: the output is about to be written again."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def keep(self, others: Iterable[PathLike]) -> None:
        """Write the record of the output and of the `others` that the run wrote."""
        if self._path is not None and self._output is not None:
            written = [self._output, *(path for path in others if str(path) != STANDARD and not is_special(path))]
            files = {str(Path(path).absolute()): file_sha256(path) for path in written[1:]}
            files[self._output.name] = file_sha256(self._output)  # without its folder, which may be moved or copied
            write_json(self._path, {"settings": self._settings, "files": files})

    def _record(self) -> dict[str, Any]:
        """The record; empty when there is none."""
        found = {} if self._path is None else kept_object(self._path)
        return found if _is_record(found) else {}


def _is_record(found: dict[str, Any]) -> bool:
    if found.keys() != KEYS:
        return False
    settings, files = found["settings"], found["files"]
    return isinstance(settings, dict) and isinstance(files, dict) and all(isinstance(h, str) for h in files.values())

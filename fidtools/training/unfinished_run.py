"""The folder of an unfinished training run: its record, its log, and the state to continue from.

reader.partial/            during training
  record.json              what the run is: settings, data, start
  log.jsonl                one line per logged update and per evaluation
  best/                    the best model so far, in its public format
  state-500/               after 500 updates: weights.safetensors, optimizer.safetensors, progress.json
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import SafetensorError

from fidtools.compute.model_files import UNFINISHED
from fidtools.data.files import atomic_folder, atomic_path
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.data.outputs import refuse_foreign
from fidtools.data.partial_names import name_beside, names_beside
from fidtools.errors import DataError, UsageError
from fidtools.training.run_record import FILES, STARTS, Record
from fidtools.training.saved_state import OPTIMIZER, WEIGHTS, restore_tensors, save_tensors

PROGRESS = "progress.json"


class UnfinishedRun:
    """The files of a run while it trains. What writes is called on rank 0 only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best, self.log_file = folder / "best", folder / "log.jsonl"

    def refuse_to_remove(self, record: Record) -> None:
        """Raise UsageError for an input in the folder, such as its best model, and for files of others.

        A new run removes the folder.
        """
        folder = self.folder.resolve()
        for path in (str(record[name]) for name in (*FILES, *STARTS.values()) if record.get(name)):
            if Path(path).exists() and folder in (Path(path).resolve(), *Path(path).resolve().parents):
                hint = "move it away, or name another output"
                raise UsageError(f"{self.folder} would be removed, and holds the input {path}", hint=hint)
        refuse_foreign(self.folder, UNFINISHED)

    def begin(self, record: Record) -> None:
        """Start from nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(self.folder / "record.json", record)

    def record(self) -> dict[str, Any]:
        """What the run is. Raises DataError when the file is damaged."""
        return self._kept(self.folder / "record.json")

    def progress(self) -> dict[str, Any] | None:
        """What the newest state says of the run; None when there is no state. Raises DataError for a damaged one."""
        if (state := self._newest_state()) is None:
            return None
        found = self._kept(state / PROGRESS)
        if not isinstance(found.get("step"), int):
            raise self._damaged(state / PROGRESS)
        return found

    def _newest_state(self) -> Path | None:
        """The last complete state: its progress is written last, and removed first."""
        states = (path for path in self.folder.glob("state-*") if (path / PROGRESS).is_file())
        return max(states, key=lambda path: int(path.name.removeprefix("state-")), default=None)

    def _kept(self, path: Path) -> dict[str, Any]:
        try:
            return read_json_object(path)
        except DataError as error:
            raise self._damaged(path) from error

    def require(self, *names: str) -> None:
        """Raise DataError for a file or folder of the run that is missing."""
        for path in (self.folder / name for name in names):
            if not path.exists():
                raise self._damaged(path)

    def _damaged(self, path: Path) -> DataError:
        problem = "damaged" if path.exists() else "missing"
        return DataError(problem, path=path, hint=f"remove {self.folder} to start from scratch")

    def log(self, **values: float) -> None:
        """Append one line to the log."""
        with self.log_file.open("ab") as out:
            out.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))

    def truncate_log(self, step: int) -> None:
        """Drop what was logged after update `step`: those updates are done again."""
        lines = self.log_file.read_bytes().splitlines(keepends=True) if self.log_file.exists() else []
        try:
            kept = [line for line in lines if line.endswith(b"\n") and orjson.loads(line)["step"] <= step]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise self._damaged(self.log_file) from error
        if kept != lines:
            with atomic_path(self.log_file) as partial:
                partial.write_bytes(b"".join(kept))

    def save_state(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Keep everything needed to continue exactly."""
        before, name = self._newest_state(), f"state-{progress['step']}"
        with atomic_folder(self.folder / name) as state:
            save_tensors(state, module, optimizer)
            write_json(state / PROGRESS, progress)
        if before is not None and before.name != name:
            shutil.rmtree(_set_aside(before))

    def load_state(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the newest state back into the module and its optimizer. Raises DataError for damaged or lost files."""
        state = self._newest_state()
        assert state is not None, "there is progress"
        self.require(f"{state.name}/{WEIGHTS}", f"{state.name}/{OPTIMIZER}")
        try:
            restore_tensors(state, module, optimizer)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise self._damaged(state) from error

    def remove(self) -> None:
        """Remove the folder, and what an interrupted removal has left."""
        if self.folder.exists():
            with contextlib.suppress(FileNotFoundError):  # a second process, which found the run finished, was faster
                shutil.rmtree(_set_aside(self.folder), ignore_errors=True)
        for left in names_beside(self.folder, "old"):
            shutil.rmtree(left, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Rename a folder that will be removed, so that nobody takes the half of it for the whole."""
    aside = name_beside(folder, "old")
    folder.rename(aside)
    return aside

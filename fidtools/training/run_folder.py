"""The files of a training run: the unfinished run beside its output, the state to continue from, the log.

reader.partial/            during training
  record.json              what the run is: settings, data, start
  log.jsonl                one line per logged update and per evaluation
  best/                    the best model so far, in its public format
  state-500/               after 500 updates: weights.safetensors, optimizer.safetensors, progress.json
reader/                    after training: the best model, with
  README.md                its model card
  last/  log.jsonl  training.json
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import SafetensorError

from fidtools.compute.model_files import TRAINED, UNFINISHED
from fidtools.compute.ranks import barrier, ranks
from fidtools.data.files import atomic_folder, atomic_path, replace_folder
from fidtools.data.hashes import folder_sha256
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.data.locks import clear_lock, exclusive
from fidtools.data.outputs import final_path, refuse_foreign
from fidtools.data.partial_names import name_beside, names_beside
from fidtools.errors import DataError, UsageError, kept_when_full
from fidtools.training.model_card import data_fingerprints, model_card
from fidtools.training.run_record import FILES, NOT_IN_START, STARTS, Record, differences, with_hashes
from fidtools.training.saved_state import restore_tensors, save_tensors

Saver = Callable[[Path], None]
PROGRESS = "progress.json"
MODEL_HASH = "model_sha256"
"""In the result: the hash of the finished model, by which one that was damaged or edited since is noticed."""


class RunFolder:
    """One training run's files. Only rank 0 writes. `force` permits that an output folder with other files is replaced.

    The record is kept with the hashes of the run's data and start.
    """

    def __init__(self, output: Path, record: Record, *, force: bool = False) -> None:
        self.output = final_path(output)
        self.folder = self.output.with_name(self.output.name + ".partial")
        self.record = with_hashes(record)
        self._main, self._force = ranks().is_main, force

    def check(self, *, resume: bool, ignore: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """Refuse to start where another run is unfinished; `ignore` names entries of the record not to compare.

        Returns the result of the run when it is finished and `resume` asks for nothing more. Raises UsageError when
        there is an unfinished run and it shall not be continued; when `resume` finds a run, finished or not, whose
        record differs; when the output is a folder that holds other files. Raises NotADirectoryError when the output,
        or a folder it is to be in, is a file.
        """
        _check_can_be_folder(self.output)
        self._refuse_inputs()
        self._refuse_foreign()
        if self._newest_state() is None or self._is_left_over():
            return self._finished(ignore) if resume else None
        hint = f"or remove {self.folder} to start from scratch"
        if not resume:
            raise UsageError(f"{self.folder}: an unfinished run already exists", hint=f"`resume` continues it; {hint}")
        before = self._kept(self.folder / "record.json")
        if different := differences(before, self.record, ignore):
            problem = f"{self.folder}: the unfinished run used other settings: {different}"
            raise UsageError(problem, hint=f"use the same settings, {hint}")
        return None

    def _refuse_inputs(self) -> None:
        """Raise UsageError for an input in the unfinished folder, such as its best model: a new run removes that."""
        folder = self.folder.resolve()
        for path in (str(self.record[name]) for name in (*FILES, *STARTS.values()) if self.record.get(name)):
            if Path(path).exists() and folder in (Path(path).resolve(), *Path(path).resolve().parents):
                hint = "move it away, or name another output"
                raise UsageError(f"{self.folder} would be removed, and holds the input {path}", hint=hint)

    def _refuse_foreign(self) -> None:
        refuse_foreign(self.folder, UNFINISHED)
        refuse_foreign(self.output, TRAINED, force=self._force)
        if (found := self._training_json()) and not self._force and found.get("command") != self.record.get("command"):
            hint = "name another folder; --force replaces it"
            raise UsageError(f"{self.output} is the output of {found.get('command')}", hint=hint)

    def _training_json(self) -> dict[str, Any]:
        """The record of the finished run, with its result; empty when there is none."""
        try:
            found = orjson.loads((self.output / "training.json").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) and isinstance(found.get("result"), dict) else {}

    def _finished(self, ignore: tuple[str, ...]) -> dict[str, Any] | None:
        """The result of the finished run; None when there is none.

        Raises UsageError when it used other settings, and when its model has changed since.
        """
        if not (before := self._training_json()):
            return None
        result: dict[str, Any] = before.pop("result")
        if different := differences(before, self.record, ignore):
            hint = "use the same settings, name another folder, or leave out `resume` to replace it"
            raise UsageError(f"{self.output}: the finished run used other settings: {different}", hint=hint)
        if result.get(MODEL_HASH) not in (None, folder_sha256(self.output, NOT_IN_START)):
            hint = "name another folder, or leave out `resume` to replace it"
            raise UsageError(f"the model in {self.output} is not as the finished run left it", hint=hint)
        return result

    def _is_left_over(self) -> bool:
        """Whether the unfinished folder is what a run left that was killed after its output was in place."""
        state, result = self._newest_state(), self._training_json().get("result", {})
        if state is None or (self.folder / "best").exists():
            return False
        return bool(self._kept(state / PROGRESS)["step"] == result.get("steps"))

    def clean_up_finished(self) -> None:
        """Remove what a run that was killed at its very end has left."""
        if self._main:
            self.clean_up()
            clear_lock(self.output)

    def clean_up(self) -> None:
        """Remove what a finished run no longer needs."""
        if self._main and self.folder.exists():
            with contextlib.suppress(FileNotFoundError):  # a second process, which found the run finished, was faster
                shutil.rmtree(_set_aside(self.folder), ignore_errors=True)
        for left in names_beside(self.folder, "old") if self._main else ():
            shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[dict[str, Any] | None]:
        """Start, or continue when asked to and there is something to continue; yields the saved progress, if any.

        Raises FidtoolsError when another process is training into the same folder.
        """
        self.check(resume=resume)
        saved = None if self._is_left_over() else self._newest_state()
        barrier()  # nothing changes on disk before every rank has looked
        with self._locked():
            if self._main:
                _ = self._data
                if saved is None:
                    self._begin()
            state: dict[str, Any] | None = None
            if saved is not None:
                state = self._kept(saved / PROGRESS)
                if self._main:
                    self._truncate_log(state["step"])
            barrier()
            hint = "the last saved state is kept: free some space and continue with `resume`"
            with kept_when_full(self.folder, hint):
                yield state

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._main:
            yield
            return
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.output, "training into it", wait=False):
            yield

    def _begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(self.folder / "record.json", self.record)

    @cached_property
    def _data(self) -> dict[str, str]:
        return data_fingerprints(self.record)

    def _kept(self, path: Path) -> dict[str, Any]:
        """The JSON object in a file of the unfinished run. Raises DataError when it is damaged."""
        try:
            found = read_json_object(path)
        except DataError as error:
            raise self._damaged(path) from error
        if path.name == PROGRESS and not isinstance(found.get("step"), int):
            raise self._damaged(path)
        return found

    def _damaged(self, path: Path) -> DataError:
        return DataError("damaged", path=path, hint=f"remove {self.folder} to start from scratch")

    def _newest_state(self) -> Path | None:
        """The last complete state: its progress is written last, and removed first."""
        states = (path for path in self.folder.glob("state-*") if (path / PROGRESS).is_file())
        return max(states, key=lambda path: int(path.name.removeprefix("state-")), default=None)

    def _truncate_log(self, step: int) -> None:
        """Drop what was logged after the saved state: those updates are done again."""
        path = self.folder / "log.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith(b"\n") and orjson.loads(line)["step"] <= step]
        if kept != lines:
            with atomic_path(path) as partial:
                partial.write_bytes(b"".join(kept))

    def log(self, **values: float) -> None:
        """Append one line to the log."""
        if self._main:
            with (self.folder / "log.jsonl").open("ab") as out:
                out.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))

    def save_state(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Keep everything needed to continue exactly."""
        if self._main:
            before = self._newest_state()
            with atomic_folder(self.folder / state_name(progress)) as state:
                save_tensors(state, module, optimizer)
                write_json(state / PROGRESS, progress)
            if before is not None and before.name != state_name(progress):
                shutil.rmtree(_set_aside(before))

    def load_state(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put a saved state back into the module and its optimizer."""
        state = self._newest_state()
        assert state is not None, "open() has found a state"
        try:
            restore_tensors(state, module, optimizer)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise self._damaged(state) from error

    def save_best(self, save: Saver, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the model after update `step`, which has these dev metrics, as the best so far."""
        if self._main:
            with atomic_folder(self.folder / "best") as folder:
                self._save_model(save, folder, step, metrics)

    def finish(self, save: Saver, summary: dict[str, Any]) -> None:
        """Turn the unfinished folder into the finished one: the best model, the last, log and record."""
        if self._main:
            best = self.folder / "best"
            shutil.rmtree(best / "last", ignore_errors=True)
            (best / "last").mkdir()
            self._save_model(save, best / "last", summary["steps"], {})
            shutil.copyfile(self.folder / "log.jsonl", best / "log.jsonl")
            if (self.folder / "tracking").is_dir():
                shutil.copytree(self.folder / "tracking", best / "tracking", dirs_exist_ok=True)
            result = summary | {MODEL_HASH: folder_sha256(best, NOT_IN_START)}
            write_json(best / "training.json", self.record | {"result": result})
            self._refuse_foreign()  # files may have come since the run began
            replace_folder(best, self.output)
            self.clean_up()
        barrier()

    def _save_model(self, save: Saver, folder: Path, step: int, metrics: Mapping[str, float]) -> None:
        save(folder)
        if (card := model_card(self.record, self._data, step, metrics)) is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")


def state_name(progress: dict[str, Any]) -> str:
    """The folder of the state after so many updates."""
    return f"state-{progress['step']}"


def _check_can_be_folder(path: Path) -> None:
    """Whether `path` is a folder, or could be made: what exists of it must be folders."""
    existing = next(part for part in (path, *path.absolute().parents) if part.exists())
    if not existing.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(existing))


def _set_aside(folder: Path) -> Path:
    """Rename a folder that will be removed, so that nobody takes the half of it for the whole."""
    aside = name_beside(folder, "old")
    folder.rename(aside)
    return aside

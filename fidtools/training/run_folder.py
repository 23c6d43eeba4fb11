"""The output folder of a training run: whether it may start, may continue or is finished, and what it ends as.

reader.partial/            during training: `unfinished_run`
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

import torch

from fidtools.compute.model_files import TRAINED
from fidtools.compute.ranks import barrier, ranks
from fidtools.data.files import atomic_folder, replace_folder
from fidtools.data.hashes import folder_sha256
from fidtools.data.jsonl import kept_object, write_json
from fidtools.data.locks import clear_lock, exclusive
from fidtools.data.outputs import final_path, refuse_foreign
from fidtools.errors import UsageError, kept_when_full
from fidtools.training.model_card import model_card
from fidtools.training.run_record import NOT_IN_START, Record, differences, with_hashes
from fidtools.training.unfinished_run import UnfinishedRun

Saver = Callable[[Path], None]
MODEL_HASH = "model_sha256"
"""In the result: the hash of the finished model, by which one that was damaged or edited since is noticed."""


class RunFolder:
    """One training run's files. Only rank 0 writes. `force` permits that an output folder with other files is replaced.

    The record is kept with the hashes of the run's data and start.
    """

    def __init__(self, output: Path, record: Record, *, force: bool = False) -> None:
        self.output = final_path(output)
        self.folder = self.output.with_name(self.output.name + ".partial")
        self._given = record
        self._unfinished = UnfinishedRun(self.folder)
        self._main, self._force = ranks().is_main, force

    @cached_property
    def record(self) -> dict[str, Any]:
        """What the run is, with the hashes of its data and start."""
        return with_hashes(self._given)

    def check(self, *, resume: bool, ignore: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """Refuse to start where another run is unfinished; `ignore` names entries of the record not to compare.

        Returns the result of the run when it is finished and `resume` asks for nothing more. Raises UsageError when
        there is an unfinished run and it shall not be continued; when `resume` finds a run, finished or not, whose
        record differs; when the output is a folder that holds other files. Raises NotADirectoryError when the output,
        or a folder it is to be in, is a file.
        """
        _check_can_be_folder(self.output)
        self._refuse_foreign()
        if self._saved_progress() is None:
            return self._finished(ignore) if resume else None
        hint = f"or remove {self.folder} to start from scratch"
        if not resume:
            raise UsageError(f"{self.folder}: an unfinished run already exists", hint=f"`resume` continues it; {hint}")
        if different := differences(self._unfinished.record(), self.record, ignore):
            problem = f"{self.folder}: the unfinished run used other settings: {different}"
            raise UsageError(problem, hint=f"use the same settings, {hint}")
        return None

    def _refuse_foreign(self) -> None:
        self._unfinished.refuse_to_remove(self._given)
        refuse_foreign(self.output, TRAINED, force=self._force)
        if (found := self._training_json()) and not self._force and found.get("command") != self._given.get("command"):
            hint = "name another folder; --force replaces it"
            raise UsageError(f"{self.output} is the output of {found.get('command')}", hint=hint)

    def _training_json(self) -> dict[str, Any]:
        """The record of the finished run, with its result; empty when there is none."""
        found = kept_object(self.output / "training.json")
        return found if isinstance(found.get("result"), dict) else {}

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

    def _saved_progress(self) -> dict[str, Any] | None:
        """What there is to continue from: not what a run has left that was killed after its output was in place."""
        saved, result = self._unfinished.progress(), self._training_json().get("result", {})
        left_over = saved and not self._unfinished.best.exists() and saved["step"] == result.get("steps")
        return None if left_over else saved

    def clean_up_finished(self) -> None:
        """Remove what a run that was killed at its very end has left."""
        if self._main:
            self._unfinished.remove()
            clear_lock(self.output)

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[dict[str, Any] | None]:
        """Start, or continue when asked to and there is something to continue; yields the saved progress, if any.

        Raises FidtoolsError when another process is training into the same folder.
        """
        self.check(resume=resume)
        saved = self._saved_progress()
        barrier()  # nothing changes on disk before every rank has looked
        with self._locked():
            if self._main:
                if saved is None:
                    self._unfinished.begin(self.record)
                else:
                    self._unfinished.truncate_log(saved["step"])
            barrier()
            hint = "the last saved state is kept: free some space and continue with `resume`"
            with kept_when_full(self.folder, hint):
                yield saved

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._main:
            yield
            return
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.output, "training into it", wait=False):
            yield

    def log(self, **values: float) -> None:
        """Append one line to the log."""
        if self._main:
            self._unfinished.log(**values)

    def save_state(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Keep everything needed to continue exactly."""
        if self._main:
            self._unfinished.save_state(module, optimizer, progress)

    def load_state(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put the saved state back into the module and its optimizer."""
        self._unfinished.load_state(module, optimizer)

    def save_best(self, save: Saver, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the model after update `step`, which has these dev metrics, as the best so far."""
        if self._main:
            with atomic_folder(self._unfinished.best) as folder:
                self._save_model(save, folder, step, metrics)

    def finish(self, save: Saver, summary: dict[str, Any]) -> None:
        """Turn the unfinished folder into the finished one: the best model, the last, log and record."""
        if self._main:
            best = self._unfinished.best
            self._unfinished.require("best", "log.jsonl")
            shutil.rmtree(best / "last", ignore_errors=True)
            (best / "last").mkdir()
            self._save_model(save, best / "last", summary["steps"], {})
            shutil.copyfile(self._unfinished.log_file, best / "log.jsonl")
            if (self.folder / "tracking").is_dir():
                shutil.copytree(self.folder / "tracking", best / "tracking", dirs_exist_ok=True)
            result = summary | {MODEL_HASH: folder_sha256(best, NOT_IN_START)}
            write_json(best / "training.json", self.record | {"result": result})
            self._refuse_foreign()  # files may have come since the run began
            replace_folder(best, self.output)
            self._unfinished.remove()
        barrier()

    def _save_model(self, save: Saver, folder: Path, step: int, metrics: Mapping[str, float]) -> None:
        save(folder)
        if (card := model_card(self.record, step, metrics)) is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")


def _check_can_be_folder(path: Path) -> None:
    """Whether `path` is a folder, or could be made: what exists of it must be folders."""
    existing = next(part for part in (path, *path.absolute().parents) if part.exists())
    if not existing.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(existing))

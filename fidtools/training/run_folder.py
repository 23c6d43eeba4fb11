"""The files of a training run: the unfinished run beside its goal, the state to continue from, the log.

reader.partial/            while it trains
  record.json              what the run is: settings, data, start
  log.jsonl                one line per logged update and per evaluation
  best/                    the best model so far, in its public format
  state-500/               after 500 updates: weights.safetensors, optimizer.safetensors, progress.json
reader/                    when it is done: the best model, with
  last/  log.jsonl  training.json
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file, save_file

from fidtools.compute.ranks import barrier, ranks
from fidtools.data.files import atomic_folder, replace_folder
from fidtools.data.jsonl import write_json
from fidtools.errors import UsageError, shorten

Saver = Callable[[Path], None]


class Run:
    """One training run's files. Only rank 0 writes."""

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.goal = folder
        self.folder = folder.with_name(folder.name + ".partial")
        self.record = orjson.loads(orjson.dumps(record))
        self._main = ranks().is_main

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[dict[str, Any] | None]:
        """Start, or continue when asked to and there is something to continue; yields the saved progress, if any."""
        if self.goal.exists() and not self.goal.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(self.goal))
        state = self._unfinished(resume)
        barrier()
        if self._main and state is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            write_json(self.folder / "record.json", self.record)
        if self._main and state is not None:
            self._truncate_log(state["step"])
        barrier()
        yield state

    def _unfinished(self, resume: bool) -> dict[str, Any] | None:
        if (saved := self._newest_state()) is None:
            return None
        if not resume:
            hint = f"--resume continues it; remove {self.folder} to start anew"
            raise UsageError(f"{self.folder}: an unfinished run is in the way", hint=hint)
        before = orjson.loads((self.folder / "record.json").read_bytes())
        if before != self.record:
            hint = f"use the same options, or remove {self.folder} to start anew"
            raise UsageError(
                f"{self.folder}: the unfinished run was another one: {_difference(before, self.record)}", hint=hint
            )
        state: dict[str, Any] = orjson.loads((saved / "progress.json").read_bytes())
        return state

    def _newest_state(self) -> Path | None:
        return max(self.folder.glob("state-*"), key=lambda path: int(path.name.removeprefix("state-")), default=None)

    def _truncate_log(self, step: int) -> None:
        """Drop what was logged after the saved state: those updates are done again."""
        path = self.folder / "log.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        path.write_bytes(
            b"".join(line for line in lines if line.endswith(b"\n") and orjson.loads(line)["step"] <= step)
        )

    def log(self, **values: float) -> None:
        """Append one line to the log."""
        if self._main:
            with (self.folder / "log.jsonl").open("ab") as out:
                out.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))

    def save(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Keep everything needed to continue exactly."""
        if self._main:
            before = self._newest_state()
            with atomic_folder(self.folder / state_name(progress)) as state:
                save_file(_distinct(module), state / "weights.safetensors")
                save_file(_optimizer_tensors(optimizer), state / "optimizer.safetensors")
                write_json(state / "progress.json", progress)
            if before is not None and before.name != state_name(progress):
                shutil.rmtree(before)

    def load(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put a saved state back into the module and its optimizer."""
        state = self._newest_state()
        assert state is not None, "open() has found a state"
        tensors = load_file(state / "weights.safetensors")
        with torch.no_grad():
            for name, value in _named(module).items():
                value.copy_(tensors[name])
        _restore_optimizer(optimizer, load_file(state / "optimizer.safetensors"))

    def save_best(self, save: Saver) -> None:
        """Keep the model as the best so far."""
        if self._main:
            with atomic_folder(self.folder / "best") as folder:
                save(folder)

    def finish(self, save: Saver, summary: dict[str, Any]) -> None:
        """Turn the unfinished folder into the finished one: the best model, the last, log and record."""
        if self._main:
            best = self.folder / "best"
            shutil.rmtree(best / "last", ignore_errors=True)
            (best / "last").mkdir()
            save(best / "last")
            shutil.copyfile(self.folder / "log.jsonl", best / "log.jsonl")
            if (self.folder / "tracking").is_dir():
                shutil.copytree(self.folder / "tracking", best / "tracking", dirs_exist_ok=True)
            write_json(best / "training.json", self.record | {"result": summary})
            replace_folder(best, self.goal)
            shutil.rmtree(self.folder)
        barrier()


def state_name(progress: dict[str, Any]) -> str:
    """The folder of the state after so many updates."""
    return f"state-{progress['step']}"


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    old, new = before.get(changed[0]), now.get(changed[0])
    if isinstance(old, dict) and isinstance(new, dict):
        return _difference(old, new)
    return f"{changed[0]} was {shorten(old)}, now {shorten(new)}"


def _named(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, tied ones once."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def _distinct(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in _named(module).items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value.cpu().contiguous() for i, values in state.items() for key, value in values.items()}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

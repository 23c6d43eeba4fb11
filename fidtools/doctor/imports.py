"""Whether the compiled packages load, tried in a process of its own: one that crashes ends that process only."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field

SECONDS = 120.0
BASE = ("numpy", "orjson", "tantivy", "torch")
"""Compiled packages that basic commands cannot do without."""
CODE = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps({"importing": name}), flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"[:300]}), flush=True)
torch = sys.modules.get("torch")
if torch is not None and hasattr(torch, "cuda"):
    cuda = torch.cuda.is_available()
    found = {"cuda": cuda, "devices": torch.cuda.device_count() if cuda else 0, "threads": torch.get_num_threads()}
    found["built_for"] = torch.version.cuda or ""
    found["bf16"] = bool(cuda and torch.cuda.is_bf16_supported(including_emulation=False))
    mps = getattr(torch.backends, "mps", None)
    found["mps"] = bool(mps is not None and mps.is_available())
    print(json.dumps({"torch": found}), flush=True)
"""


@dataclass(frozen=True)
class Imports:
    """What failed to load, by package, and what torch reports about devices; `torch` is empty where it is unknown."""

    failures: dict[str, str] = field(default_factory=dict)
    torch: dict[str, int | str] = field(default_factory=dict)


def try_imports(packages: tuple[str, ...] = BASE, seconds: float = SECONDS) -> Imports:
    """Import the packages in a new process; nothing that happens there is an error here."""
    command = [sys.executable, "-P", "-c", CODE, *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        text = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        return _found(text, f"still loading after {seconds:g} s")
    except OSError as error:
        return Imports({"python": str(error)})
    return _found(done.stdout, _ending(done.returncode))


def _found(output: str, ending: str) -> Imports:
    """What the lines of the process say; what it was at when it ended badly has failed."""
    failures: dict[str, str] = {}
    torch: dict[str, int | str] = {}
    current = "python"
    for line in output.splitlines():
        try:
            told = json.loads(line)
        except ValueError:  # what a package prints
            continue
        if not isinstance(told, dict):
            continue
        current = told.get("importing", current)
        torch = told.get("torch", torch)
        if "failed" in told:
            failures[current] = told["failed"]
    if ending:
        failures.setdefault(current, ending)
    return Imports(failures, torch)


def _ending(code: int) -> str:
    if code >= 0:
        return f"the process ended with code {code}" if code else ""
    try:
        return f"the process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"the process was ended by signal {-code}"

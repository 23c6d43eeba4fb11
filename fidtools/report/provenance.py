"""What ran: settings, fingerprints, time per stage, and the machine and software the report was written with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fidtools
from fidtools.data.jsonl import read_json
from fidtools.errors import DataError
from fidtools.report.learning import read_document
from fidtools.report.sources import iteration_folders

PACKAGES = ("torch", "transformers", "numpy", "faiss-cpu", "faiss-gpu", "tantivy", "pyserini", "sentence-transformers")
HASH = 12


def provenance(run: Path | None, settings: dict[str, str]) -> dict[str, Any]:
    """Everything about how a run came about that its folder and this machine tell."""
    return {
        "settings": {name: value for name, value in settings.items() if value},
        "fingerprints": fingerprints(run) if run else {},
        "stages": stages(run) if run else [],
        "software": software(),
        "hardware": hardware(),
    }


def stages(run: Path) -> list[dict[str, Any]]:
    """The lines of stages.jsonl; a line that is cut off (the run was killed) ends them."""
    path = run / "stages.jsonl"
    if not path.is_file():
        return []
    found = []
    try:
        for _, line in read_json(path):
            if isinstance(line.get("stage"), str) and isinstance(line.get("seconds"), (int, float)):
                found.append({name: line.get(name) for name in ("stage", "command", "seconds", "started", "status")})
    except DataError:
        pass
    return found


def fingerprints(run: Path) -> dict[str, str]:
    """Hashes of what the run was made of: the passages' texts, each iteration's encoder and ids."""
    found = {"passages (BM25 index)": read_document(run / "bm25" / "meta.json").get("text_sha256")}
    for folder in iteration_folders(run):
        card = read_document(folder / "passages.json")
        encoder = card.get("encoder") if isinstance(card.get("encoder"), dict) else {}
        found[f"{folder.name}: passages"] = card.get("text_sha256")
        found[f"{folder.name}: passage ids"] = card.get("ids_sha256")
        found[f"{folder.name}: retriever weights"] = (encoder or {}).get("weights")
    return {name: value[:HASH] for name, value in found.items() if isinstance(value, str)}


def software() -> dict[str, str]:
    """Versions of what is installed."""
    found = {"fidtools": fidtools.__version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str]:
    """Processor, cores, memory and NVIDIA GPUs, as the operating system names them."""
    found = {"system": f"{platform.system()} {platform.machine()}", "cores": str(os.cpu_count())}
    processor = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")), "")
    found["processor"] = processor.partition(":")[2].strip() or platform.processor()
    memory = next((line for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), "")
    if memory:
        found["memory"] = f"{int(memory.split()[1]) / (1 << 20):.0f} GiB"
    cards = [
        line.partition(":")[2].strip()
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for line in _lines(path)
        if line.startswith("Model")
    ]
    return {name: value for name, value in {**found, "GPU": ", ".join(cards)}.items() if value}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []

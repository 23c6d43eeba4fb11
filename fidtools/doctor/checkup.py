"""All probes together, as one record and as lines of text. A probe that fails is reported and fails nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import fidtools
from fidtools.doctor.findings import Finding, findings
from fidtools.doctor.imports import Imports, try_imports
from fidtools.doctor.machine import Machine, Memory, Processor, machine
from fidtools.doctor.packages import Extra, extras, unmet_requirements, versions
from fidtools.doctor.places import Cache, caches, jvm

T = TypeVar("T")
UNKNOWN = Machine("unknown", Processor("unknown", "", None, None, None), Memory(None, None, None))


@dataclass
class Checkup:
    """What was found. `probes_failed` names probes that raised an error, with the error."""

    versions: dict[str, str]
    machine: Machine
    torch: dict[str, int | str]
    jvm: str
    extras: list[Extra]
    caches: list[Cache]
    findings: list[Finding]
    probes_failed: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether something stops basic commands."""
        return any(finding.level == "broken" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON; sizes in bytes."""
        return asdict(self) | {"broken": self.broken}


def checkup() -> Checkup:
    """Run every probe. Takes as long as importing torch does."""
    failed: dict[str, str] = {}

    def probe(name: str, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except Exception as error:  # a probe reads what is outside of our hands
            failed[name] = f"{type(error).__name__}: {error}"
            return otherwise

    this = probe("machine", machine, UNKNOWN)
    loaded = probe("imports", try_imports, Imports())
    unmet = probe("requirements", unmet_requirements, list[str]())
    return Checkup(
        versions={"fidtools": fidtools.__version__, "python": sys.version.split()[0]}
        | probe("versions", versions, dict[str, str]()),
        machine=this,
        torch=loaded.torch,
        jvm=probe("jvm", jvm, "unknown"),
        extras=probe("extras", extras, list[Extra]()),
        caches=probe("caches", caches, list[Cache]()),
        findings=probe("findings", lambda: findings(this, loaded, unmet), list[Finding]()),
        probes_failed=failed,
    )


def lines(found: Checkup) -> Iterator[str]:
    """The record as text, section by section."""
    yield from _section("Versions", found.versions)
    yield from _section("Machine", _machine(found))
    yield from _section("Environment", found.machine.variables or {"variables": "none of those that matter is set"})
    yield from _section("Caches", {cache.path: f"{_cache_size(cache)}, {cache.name}" for cache in found.caches})
    installed = {extra.name: extra.purpose for extra in found.extras if not extra.missing}
    yield from _section("Extras that are installed", installed or {"none": ""})
    yield from _missing([extra for extra in found.extras if extra.missing])
    yield from _section("Probes that failed", found.probes_failed)
    yield "Findings"
    for finding in found.findings:
        yield f"  {finding.level}: {finding.what}"
        if finding.remedy:
            yield f"    → {finding.remedy}"
    if not found.findings:
        yield "  nothing is broken, and nothing is known to be slow"


def _section(title: str, rows: dict[str, str]) -> Iterator[str]:
    if not rows:
        return
    yield title
    width = max(map(len, rows))
    yield from (f"  {name:<{width}}  {value}".rstrip() for name, value in rows.items())
    yield ""


def _missing(missing: list[Extra]) -> Iterator[str]:
    if not missing:
        return
    yield "Extras that are missing"
    for extra in missing:
        yield f"  {extra.name}: {extra.purpose or 'no description'}"
        yield f"    → {extra.install}"
    yield ""


def _machine(found: Checkup) -> dict[str, str]:
    this, rows = found.machine, {}
    rows["system"] = this.system
    rows["processor"] = f"{this.processor.name}, {this.processor.architecture}"
    usable = "unknown" if this.processor.usable is None else f"{this.processor.usable:g}"
    rows["processors"] = f"{usable} usable of {this.processor.cores}"
    for kind in ("bf16", "int8", "float32"):
        names = None if this.processor.units is None else ", ".join(this.processor.units[kind])
        rows[f"{kind} units"] = "unknown" if names is None else names or "none"
    if "threads" in found.torch:
        rows["threads of PyTorch"] = str(found.torch["threads"])
    rows["memory"] = f"{_gigabytes(this.memory.total)}, {_gigabytes(this.memory.available)} available"
    if this.memory.limit is not None:
        rows["memory"] += f", limited to {_gigabytes(this.memory.limit)}"
    for number, gpu in enumerate(this.gpus):
        rows[f"GPU {number}"] = f"{gpu.name}, {_gigabytes(gpu.memory)}, driver {gpu.driver}"
    if not this.gpus:
        rows["GPU"] = "Apple's (mps)" if found.torch.get("mps") else "none found"
    rows["Java"] = found.jvm
    return rows


def _cache_size(cache: Cache) -> str:
    if cache.size is None:
        return "does not exist yet"
    return _gigabytes(cache.size) if cache.complete else f"more than {_gigabytes(cache.size)}"


def _gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"

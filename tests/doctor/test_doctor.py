"""doctor: every probe on a machine made of files, every rule on a case made by hand, and a probe that fails."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from fidtools import cli
from fidtools.doctor import checkup as checkups
from fidtools.doctor import packages, places
from fidtools.doctor.findings import Finding, findings
from fidtools.doctor.imports import Imports, try_imports
from fidtools.doctor.machine import Gpu, Machine, Memory, Processor, gpus, memory, processor, usable_processors

ROOT = Path(__file__).resolve().parents[2]
FAST = {"bf16": ["avx512_bf16"], "int8": ["avx512_vnni"], "float32": ["avx512f", "avx2", "avx"]}
MACHINE = Machine("Linux", Processor("AMD EPYC", "x86_64", 8, 8, FAST), Memory(32 << 30, 16 << 30, None))
LOADED = Imports(torch={"cuda": False, "devices": 0, "threads": 8, "built_for": "", "bf16": False})


def levels(machine: Machine = MACHINE, imports: Imports = LOADED, unmet: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in findings(machine, imports, list(unmet))]


def variables(**values: str) -> Machine:
    return replace(MACHINE, variables=values)


def test_a_good_machine_has_no_findings():
    assert levels() == []


def test_the_processor_of_linux(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Fast One\nflags\t\t: fpu avx avx2 avx512f amx_int8 avx512_vnni amx_bf16\n\n"
        "processor\t: 1\nmodel name\t: Other\nflags\t\t: fpu\n"
    )
    found = processor(tmp_path / "cpuinfo")
    assert found.name == "Fast One"
    assert found.units == {
        "bf16": ["amx_bf16"],
        "int8": ["amx_int8", "avx512_vnni"],
        "float32": ["avx512f", "avx2", "avx"],
    }


def test_a_processor_of_which_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = processor(tmp_path / "missing")
    assert (found.name, found.units) == ("unknown", None)
    assert levels(replace(MACHINE, processor=found)) == []


def test_a_container_limits_processors_and_memory(tmp_path):
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("2147483648\n")
    (tmp_path / "meminfo").write_text("MemTotal:       8388608 kB\nMemAvailable:   4194304 kB\n")
    assert usable_processors(tmp_path) == 0.5
    assert memory(tmp_path / "meminfo", tmp_path) == Memory(8 << 30, 4 << 30, 2 << 30)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_processors(tmp_path) == len(os.sched_getaffinity(0))
    assert memory(tmp_path / "meminfo", tmp_path).limit is None


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'NVIDIA H100 80GB HBM3, 81559, 570.1'", [Gpu("NVIDIA H100 80GB HBM3", 81559 << 20, "570.1")]),
        ("echo 'GB10, [N/A], 580.95'", [Gpu("GB10", None, "580.95")]),
        ("echo 'No devices were found'; exit 6", []),
        ("echo 'a, line, of, another, shape'", []),
        ("kill -9 $$", []),
    ],
)
def test_gpus_as_the_driver_lists_them(script, found, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == found


def test_the_base_packages_load_here():
    found = try_imports()
    assert found.failures == {}
    assert found.torch["cuda"] in (True, False)


def test_a_package_that_is_missing_or_crashes_is_named(tmp_path, monkeypatch):
    (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    (tmp_path / "chatty.py").write_text("print('{}'); print('[1]'); print('hello')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert try_imports(("chatty", "not_there", "crashing")).failures == {
        "not_there": "ModuleNotFoundError: No module named 'not_there'",
        "crashing": "the process was ended by SIGILL",
    }


def test_a_file_of_the_working_folder_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "orjson.py").write_text("import os; os.abort()")
    monkeypatch.chdir(tmp_path)
    assert try_imports(("orjson",)).failures == {}


def test_a_package_that_never_ends_loading(tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert try_imports(("endless",), seconds=1).failures == {"endless": "still loading after 1 s"}


def test_what_does_not_load_is_broken():
    assert levels(imports=Imports({"torch": "ImportError: libc10.so"})) == [
        ("broken", "torch cannot be imported: ImportError: libc10.so")
    ]


def test_requirements_that_are_missing_or_old(monkeypatch):
    monkeypatch.setattr(packages.metadata, "requires", lambda name: ["numpy>=999", "not-there>=1", "x; extra == 'dev'"])
    unmet = packages.unmet_requirements()
    assert unmet[0].endswith("is installed, >=999 is required")
    assert unmet[1] == "not-there is not installed"
    assert [level for level, _ in levels(unmet=tuple(unmet))] == ["broken", "broken"]
    assert len(unmet) == 2


def test_every_extra_has_a_purpose():
    with open(ROOT / "pyproject.toml", "rb") as stream:
        declared = tomllib.load(stream)["project"]["optional-dependencies"]
    assert packages.PURPOSES.keys() == declared.keys()


def test_extras_list_what_they_lack(monkeypatch):
    class Metadata:
        def get_all(self, name: str) -> list[str]:
            return ["here", "lora", "smollm"]

    needed = ["numpy>=2", "click; extra == 'here'", "not-there>=2; extra == 'lora'", "orjson; extra == 'smollm'"]
    monkeypatch.setattr(packages.metadata, "metadata", lambda name: Metadata())
    monkeypatch.setattr(packages.metadata, "requires", lambda name: needed)
    monkeypatch.setattr(packages, "WITHOUT_METADATA", {"smollm": "also-not-there"})
    found = packages.extras()
    assert [(extra.name, extra.missing) for extra in found] == [
        ("here", []),
        ("lora", ["not-there"]),
        ("smollm", ["also-not-there"]),
    ]
    assert found[1].install == "bin/setup lora (in the repository), or: pip install 'fidtools[lora]'"
    assert found[2].install.startswith("bin/setup smollm")


def test_without_bf16_units_models_are_slow_unless_a_gpu_computes():
    old = replace(MACHINE, processor=replace(MACHINE.processor, units={"bf16": [], "int8": [], "float32": ["avx2"]}))
    what = "the processor has no fast bf16 units, so models compute in float32, which is slower"
    assert levels(old) == [("slow", what)]
    assert levels(old, Imports(torch={"cuda": True, "bf16": True})) == []
    intel = replace(MACHINE, processor=replace(MACHINE.processor, name="Intel(R) Xeon(R) Processor"))
    assert intel.processor.units["bf16"] == ["avx512_bf16"]
    assert levels(intel) == [("slow", what)]
    with_amx = replace(intel.processor, units={**FAST, "bf16": ["amx_bf16", "avx512_bf16"]})
    assert levels(replace(intel, processor=with_amx)) == []


@pytest.mark.parametrize(
    ("kernel", "without"),
    [("Prescott", "avx2"), ("SANDYBRIDGE", "avx2"), ("Haswell", "avx512f"), ("SkylakeX", None), ("Cooperlake", None)],
)
def test_kernels_of_an_old_processor(kernel, without):
    what = f"OPENBLAS_CORETYPE={kernel}: NumPy uses kernels of an old processor, without {without}"
    assert levels(variables(OPENBLAS_CORETYPE=kernel)) == ([("slow", what)] if without else [])


@pytest.mark.parametrize(
    ("threads", "what"),
    [
        ("64", "OMP_NUM_THREADS=64 is more than the 8 processors that this process may use"),
        ("1", "OMP_NUM_THREADS=1 leaves most of the 8 processors idle"),
        ("8", None),
        ("4", None),
        ("4,2", None),
        ("²", None),
        ("9" * 5000, None),
    ],
)
def test_threads(threads, what):
    assert levels(variables(OMP_NUM_THREADS=threads)) == ([("slow", what)] if what else [])


def test_a_gpu_that_is_not_used():
    machine = replace(MACHINE, gpus=[Gpu("A100", 80 << 30, "570")])
    assert levels(machine) == [("slow", "PyTorch does not use the GPU: it is built without CUDA")]
    hidden = replace(machine, variables={"CUDA_VISIBLE_DEVICES": "-1"})
    assert levels(hidden) == [("slow", "the GPU is hidden by CUDA_VISIBLE_DEVICES='-1'")]
    assert levels(machine, Imports(torch={"cuda": True, "bf16": True})) == []
    (finding,) = levels(machine, Imports(torch={"cuda": True, "bf16": False}))
    assert finding == ("slow", "the GPU has no bf16 units, so models compute in float32")


def test_little_memory_is_noted():
    little = replace(MACHINE, memory=Memory(32 << 30, 1 << 30, 2 << 30))
    assert levels(little) == [("note", "only 2.1 GB of memory")]


def test_the_size_of_a_cache_counts_no_links(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "hub" / "blobs").mkdir(parents=True)
    (tmp_path / "hub" / "blobs" / "x").write_bytes(b"x" * 1000)
    (tmp_path / "hub" / "link").symlink_to("blobs/x")
    assert [(cache.path, cache.size, cache.complete) for cache in places.caches()] == [
        (str(tmp_path / "hub"), 1000, True),
        (str(tmp_path / "cache" / "fidtools"), None, True),
    ]
    (tmp_path / "hub" / "y").write_bytes(b"y")
    monkeypatch.setattr(places, "MOST_FILES", 1)
    assert places.caches()[0].complete is False


def test_the_command_as_json(capsys):
    assert cli.run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["broken"] is False
    assert found["probes_failed"] == {}
    assert {"processor", "memory", "gpus", "variables", "system"} == found["machine"].keys()


def test_a_broken_installation_exits_1_and_says_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr(checkups, "try_imports", lambda: Imports({"torch": "ImportError: x"}))
    assert cli.run(["doctor"]) == 1
    shown = capsys.readouterr().out.splitlines()
    at = shown.index("  broken: torch cannot be imported: ImportError: x")
    assert shown[at + 1] == "    → pip install --force-reinstall torch"


@pytest.mark.parametrize("probe", ["machine", "try_imports", "extras", "caches", "versions", "jvm", "findings"])
def test_a_probe_that_fails_fails_nothing_else(probe, capsys, monkeypatch):
    def fail(*args: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(checkups, probe, fail)
    assert cli.run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "RuntimeError: odd" in shown
    assert "Findings" in shown


def test_a_finding_without_a_remedy_is_one_line():
    found = checkups.Checkup({}, MACHINE, {}, "", [], [], [Finding("note", "x")])
    assert list(checkups.lines(found))[-2:] == ["Findings", "  note: x"]

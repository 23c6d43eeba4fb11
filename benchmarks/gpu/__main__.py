"""One section of benchmarks/gpu.sh, which runs them all; benchmarks/gpu.md says what each measures.

    python -m benchmarks.gpu SECTION --work FOLDER --out FOLDER [--dry]

`--work` holds the models and files that the section `data` writes; results are appended to `rows.jsonl` in `--out`, and
profiles to `profile.txt`.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from benchmarks.gpu.bench import Bench, best_seconds
from benchmarks.gpu.data import DRY, FULL, write_all
from benchmarks.gpu.library import save_retriever
from benchmarks.gpu.reader_sections import read, score, train
from benchmarks.gpu.retriever_sections import embed, train_retriever
from benchmarks.gpu.rows import DEVICE, add_row
from benchmarks.gpu.search_section import search

ROUNDS, PRODUCTS = 10, 10


def device(bench: Bench) -> None:
    """The device, and its rate of dense bf16 products of random matrices."""
    on_gpu = torch.cuda.is_available()
    n = bench.sizes.product
    a, b = (torch.randn(n, n, device="cuda" if on_gpu else "cpu").bfloat16() for _ in range(2))
    seconds = best_seconds(lambda: [a @ b for _ in range(PRODUCTS)], ROUNDS) / PRODUCTS
    name = torch.cuda.get_device_name() if on_gpu else f"CPU ({platform.machine()})"
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "transformers", "tokenizers"))
    note = f"{os.cpu_count()} CPU cores; Python {platform.python_version()}, {packages}, CUDA {torch.version.cuda}"
    add_row(bench.out, DEVICE, name, tflops=2 * n**3 / seconds / 1e12, note=note)


def data(bench: Bench) -> None:
    """What the other sections work on."""
    write_all(bench.work, bench.sizes)
    save_retriever(bench.work / "encoder", bench.work / "retriever")


def tests(bench: Bench) -> None:
    """`pytest -m gpu`."""
    import pytest

    outcomes: dict[str, int] = {}

    class Counter:
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.when == "call" or report.outcome != "passed":
                outcomes[report.outcome] = outcomes.get(report.outcome, 0) + 1

    started = time.perf_counter()
    code = pytest.main(["-m", "gpu", "-p", "no:cacheprovider", "-rfEs", "tests/gpu"], plugins=[Counter()])
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())) or "no tests ran"
    failed = "" if code == 0 else f"FAILED with exit code {int(code)}: "
    bench.row("pytest -m gpu", note=f"{failed}{counts} in {time.perf_counter() - started:.0f} s")


SECTIONS: dict[str, Callable[[Bench], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (device, data, tests, score, embed, train, search, train_retriever, read)
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("section", choices=SECTIONS)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--dry", action="store_true", help="tiny sizes")
    given = arguments.parse_args()
    bench = Bench(given.section, given.work, given.out, DRY if given.dry else FULL)
    with bench.attempt("the section"):
        SECTIONS[given.section](bench)


if __name__ == "__main__":
    main()

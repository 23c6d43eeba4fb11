"""Memory of `fidtools convert X.npy --to` for every database, at two sizes of corpus.

    python benchmarks/exports.py                     # 20,000 and 200,000 × 384, 1.5 GB in a temporary folder at most

Each conversion is a process of its own, which reports the most that was resident; the first of a size also reads the
passages for the first time. The files are made up and removed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fidtools.data.embedding_writer import create_embeddings
from fidtools.data.jsonl import write_lines
from fidtools.data.vector_type import VectorType
from fidtools.formats.exports import EXPORTS

BLOCK = 10_000
CONVERT = """
import sys, time
from pathlib import Path
from fidtools import cli
began = time.process_time()
code = cli.run(sys.argv[1:])
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(int(peak) * 1024 / 1e6, time.process_time() - began)
sys.exit(code)
"""


def write(folder: Path, rows: int, dim: int) -> None:
    """`p.jsonl` with texts of about 100 words, and `p.npy` with random vectors for them."""
    draw = np.random.default_rng(0)
    words = [f"word{number}" for number in range(1000)]
    texts = (" ".join(words[word] for word in draw.integers(1000, size=100)) for _ in range(rows))
    write_lines(
        folder / "p.jsonl", ({"id": f"p{row}", "title": f"t{row}", "text": text} for row, text in enumerate(texts))
    )
    with create_embeddings(
        folder / "p.npy", rows, VectorType("float32", dim), {}, ids=(f"p{row}" for row in range(rows))
    ) as out:
        for start in range(0, rows, BLOCK):
            out.write(start, draw.standard_normal((min(BLOCK, rows - start), dim), np.float32))


def convert(folder: Path, name: str) -> tuple[float, float, float]:
    """Megabytes resident at most, processor seconds, megabytes written."""
    output = folder / "out"
    arguments = ["convert", folder / "p.npy", "--to", name, "-p", folder / "p.jsonl", "-o", output, "-q"]
    done = subprocess.run([sys.executable, "-c", CONVERT, *arguments], check=True, capture_output=True, text=True)
    peak, seconds = map(float, done.stdout.split())
    files = [output] if output.is_file() else [path for path in output.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    output.unlink() if output.is_file() else shutil.rmtree(output)
    return peak, seconds, size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--dim", type=int, default=384)
    options = parser.parse_args()
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), rows, options.dim)
            for name in EXPORTS:
                peak, seconds, size = convert(Path(folder), name)
                print(
                    f"{rows:>9,} × {options.dim} {name:13} {peak:6.0f} MB, {seconds:6.1f} s, wrote {size:,.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()

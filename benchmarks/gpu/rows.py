"""Results of benchmarks/gpu.sh: lines of `rows.jsonl`, written as they come, and the table that is made of them.

python -m benchmarks.gpu.rows OUT/rows.jsonl                      # print the table
python -m benchmarks.gpu.rows OUT/rows.jsonl benchmarks/gpu.md    # and put it into the page
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FILE = "rows.jsonl"
BEGIN, END = "<!-- table -->\n", "<!-- end -->\n"
DEVICE = "device"


def add_row(folder: Path, section: str, name: str, **values: Any) -> None:
    """Append one result. `rate` has a `unit`; `tflops` is what its useful products come to; `memory` is in GB."""
    line = json.dumps({"section": section, "name": name} | values)
    with open(folder / FILE, "a") as out:
        out.write(line + "\n")
    print(line, flush=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The results, without a last line that was cut short."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def table(rows: list[dict[str, Any]]) -> str:
    """The device in one line, then a Markdown table of everything else."""
    device = next((row for row in rows if row["section"] == DEVICE), {"name": "unknown device"})
    peak = device.get("tflops")
    shown = f"{peak:,.4g} TFLOP/s in bf16 products" if peak else "peak not measured"
    lines = [f"**{device['name']}**, {shown}{_note(device, '; ')}", ""]
    lines += ["| section | what | rate | share of the bf16 peak | peak memory | |", "|---|---|---|---|---|---|"]
    lines += [_line(row, peak) for row in rows if row["section"] != DEVICE]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any], peak: float | None) -> str:
    rate = f"{row['rate']:,.{0 if row['rate'] >= 100 else 2}f} {row['unit']}" if "rate" in row else ""
    share = f"{row['tflops'] / peak:.1%}" if peak and "tflops" in row else ""
    memory = f"{row['memory']:.1f} GB" if row.get("memory") else ""
    return f"| {row['section']} | {row['name']} | {rate} | {share} | {memory} | {_note(row, '')} |"


def _note(row: dict[str, Any], before: str) -> str:
    return f"{before}{row['note']}" if row.get("note") else ""


def with_table(page: str, new: str) -> str:
    """The page with `new` between its marks."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + new + END + rest.split(END)[1]


def main() -> None:
    made = table(read_rows(Path(sys.argv[1])))
    print(made, end="")
    for page in map(Path, sys.argv[2:]):
        page.write_text(with_table(page.read_text(), made))


if __name__ == "__main__":
    main()

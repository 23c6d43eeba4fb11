"""How fast evaluation is: `python benchmarks/eval.py RANKED.jsonl [--gigabytes 5]`.

RANKED has questions with answers and their passages, 100 each for the figures of eval.md: `fidtools bm25 -k 100`. The
clock holds no reading of files, except where the file is the point.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import regex

from fidtools.data.read import read_questions
from fidtools.evaluation.significance import bootstrap_interval
from fidtools.metrics.answer_match import AnswerMatcher, tokens
from fidtools.metrics.answers import exact_match

Case = tuple[list[str], list[str]]
TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]", regex.IGNORECASE | regex.MULTILINE)


def straightforward(case: Case) -> list[bool]:
    """Every passage tokenised, every answer compared at every place."""
    answers, texts = case
    return [any(occurs(words(answer), words(text)) for answer in answers) for text in texts]


def words(text: str) -> list[str]:
    return [match.group().lower() for match in TOKEN.finditer(unicodedata.normalize("NFD", text))]


def occurs(part: list[str], whole: list[str]) -> bool:
    return any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))


def once_per_passage(case: Case) -> list[bool]:
    """As above, but a passage is tokenised once for all of a question's answers."""
    answers = [words(answer) for answer in case[0]]
    return [any(occurs(answer, found) for answer in answers) for found in map(words, case[1])]


def leanest(case: Case) -> list[bool]:
    """As above, with the quickest call of the expression: no flags (they change nothing), no match objects."""
    answers = [tokens(answer) for answer in case[0]]
    return [any(occurs(answer, found) for answer in answers) for found in map(tokens, case[1])]


def fast(case: Case) -> list[bool]:
    return AnswerMatcher(case[0]).hits(case[1])


def cases(ranked: Path, count: int = 500) -> list[Case]:
    """The answers of the first `count` questions, each with the texts of its passages."""
    questions = itertools.islice(read_questions(ranked), count)
    return [(question.answers or [], [passage.text for passage in question.ctxs or []]) for question in questions]


def best(function: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the fastest of some runs; of the processor, so that other people's work does not count."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def matching(made: list[Case]) -> None:
    passages = sum(len(texts) for _, texts in made)
    expected = list(map(straightforward, made))
    same = list(map(fast, made)) == expected == list(map(once_per_passage, made))
    hits = sum(map(sum, expected))
    print(f"answer match: {len(made)} questions, {passages} passages, {hits} hits, identical: {same}")
    ours = best(lambda: list(map(fast, made)), 7)
    ways = {
        "every answer, every passage": straightforward,
        "every passage once": once_per_passage,
        "every passage once, with findall": leanest,
    }
    for name, slow in ways.items():
        alone = best(lambda slow=slow: list(map(slow, made)))
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(slow, made[:4]))
            two = best(lambda slow=slow, pool=pool: list(pool.map(slow, made, chunksize=25)), 2, time.perf_counter)
        print(f"  tokenising {name}: {alone:.2f} s on one process, {two:.2f} s on two")
        print(f"  fidtools, one process: {ours:.4f} s, {passages / ours:,.0f} passages/s:", end=" ")
        print(f"{alone / ours:.1f} and {two / ours:.1f} times as fast")


def answers(made: list[Case]) -> None:
    rows = [(" ".join(texts[0].split()[:3]), given) for given, texts in made]
    many = list(itertools.islice(itertools.cycle(rows), 100_000))
    seconds = best(lambda: [exact_match(prediction, given) for prediction, given in many])
    print(f"exact match: 100,000 predictions in {seconds:.2f} s")


def bootstrap() -> None:
    rng = np.random.default_rng(0)
    for name, values in (("right or wrong", rng.integers(0, 2, 100_000)), ("all different", rng.random(100_000))):
        values = values.astype(np.float64)
        ours = best(lambda values=values: bootstrap_interval(values))
        slow = best(lambda values=values: [values[rng.integers(0, 100_000, 100_000)].mean() for _ in range(50)], 1) * 20
        print(f"bootstrap: 1,000 samples of 100,000 values ({name}): {ours:.3f} s; drawing indices {slow:.2f} s")


PEAK = """
import resource, sys
from fidtools.cli import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""


def memory(made: list[Case], gigabytes: float) -> None:
    """A file as one JSON list, indented as FiD does, evaluated by the command in a process of its own."""
    for size in (gigabytes / 10, gigabytes):
        with tempfile.TemporaryDirectory() as folder:
            path, count = Path(folder) / "dataset_wscores.json", 0
            with open(path, "w", encoding="utf-8") as out:
                while out.tell() < size * 1e9:
                    given, texts = made[count % len(made)]
                    ctxs = [{"id": str(i), "title": "", "text": t, "score": str(-i)} for i, t in enumerate(texts)]
                    row = {"question": f"question {count}", "answers": given, "ctxs": ctxs}
                    out.write(("[" if count == 0 else ",") + json.dumps(row, indent=4))
                    count += 1
                out.write("]")
            start = time.perf_counter()
            command = [sys.executable, "-c", PEAK, "eval", str(path), "--json", "-q"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - start
            peak = done.stderr.split()[-1]
            print(f"one JSON list of {size:.1f} GB, {count} questions: {seconds:.0f} s, {peak} MB at most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ranked", type=Path)
    parser.add_argument("--gigabytes", type=float, default=0, help="also evaluate a file of this size")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    made = cases(chosen.ranked)
    matching(made)
    answers(made)
    bootstrap()
    if chosen.gigabytes:
        memory(made[:50], chosen.gigabytes)

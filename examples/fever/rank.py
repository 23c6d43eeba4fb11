"""Rank every claim's candidates with a teacher and its students; print quality, size and time as a Markdown table.

    python examples/fever/rank.py dev.bm25.jsonl --teacher teacher seed-0 seed-1 seed-2

Each folder has students trained on hard and on soft labels: `lstm-hard`, `lstm-soft`, `cnn-hard`, …. The ranked claims
are written beside each as `NAME.ranked.jsonl`, for `fidtools eval` and `fidtools compare`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.evaluation.significance import compare
from fidtools.metrics.ranked_relevance import average_precision, reciprocal_rank
from fidtools.retriever.encoding import Retriever, load_retriever
from fidtools.teachers.interface import Teacher
from fidtools.teachers.objective import score_pairs
from fidtools.teachers.teacher_folder import load_teacher

METRICS = ("MAP", "MRR@10", "nDCG@5", "nDCG@10", "P@1", "R@1", "R@5", "R@10", "R@20")
BUDGET = 2048
Scores = list[np.ndarray[Any, Any]]


def measures(relevant: np.ndarray[Any, Any], total: int) -> dict[str, float]:
    """The metrics of one ranked list: `relevant` in ranked order, `total` gold documents of the claim."""
    gains = relevant / np.log2(np.arange(2, len(relevant) + 2))
    ideal = np.cumsum(1 / np.log2(np.arange(2, max(total, 10) + 2)))
    found = {
        "MAP": average_precision(relevant, total),
        "MRR@10": reciprocal_rank(relevant, 10),
        "P@1": float(relevant[0]),
    }
    found |= {f"nDCG@{k}": float(gains[:k].sum() / ideal[min(k, total) - 1]) for k in (5, 10)}
    return found | {f"R@{k}": float(relevant[:k].sum() / total) for k in (1, 5, 10, 20)}


def by_student(retriever: Retriever, questions: Sequence[Question]) -> Scores:
    """Scores of every claim's candidates by inner product; every passage is encoded once."""
    distinct = {passage.id: passage for question in questions for passage in question.ctxs or []}
    rows = {name: row for row, name in enumerate(distinct)}
    vectors = retriever.encode_passages(list(distinct.values()))
    asked = retriever.encode_questions([question.question for question in questions])
    chosen = [[rows[passage.id] for passage in question.ctxs or []] for question in questions]
    return [vectors[rows] @ vector for rows, vector in zip(chosen, asked, strict=True)]


def by_teacher(teacher: Teacher, questions: Sequence[Question]) -> Scores:
    """Scores of every claim's candidates, each read together with the claim."""
    texts = [[teacher.settings.passage_text(p.title, p.text) for p in question.ctxs or []] for question in questions]
    return [score_pairs(teacher, [q.question] * len(t), t, BUDGET) for q, t in zip(questions, texts, strict=True)]


def judge(questions: Sequence[Question], scores: Scores) -> dict[str, np.ndarray[Any, Any]]:
    """Every metric of every claim."""
    rows = []
    for question, values in zip(questions, scores, strict=True):
        gold = set(question.extra["gold"])
        order = np.argsort(-values, kind="stable")
        rows.append(measures(np.array([(question.ctxs or [])[i].id in gold for i in order], dtype=float), len(gold)))
    return {name: np.array([row[name] for row in rows]) for name in METRICS}


def ways(model: Retriever | Teacher, question: Question) -> list[Callable[[], object]]:
    """How to rank a claim's candidates: (i) from texts; for a student also (ii) with precomputed passage vectors."""
    if not isinstance(model, Retriever):
        return [lambda: by_teacher(model, [question])]
    vectors = model.encode_passages(question.ctxs or [])
    return [
        lambda: by_student(model, [question]),
        lambda: vectors @ model.encode_questions([question.question])[0],
    ]


def seconds(models: dict[str, Retriever | Teacher], question: Question, rounds: int = 9) -> dict[str, list[float]]:
    """CPU seconds of every model's `ways` on one thread: the fastest of several interleaved rounds."""
    torch.set_num_threads(1)
    works = {name: ways(model, question) for name, model in models.items()}
    fastest = {name: [float("inf")] * len(work) for name, work in works.items()}
    for _ in range(rounds):
        for name, work in works.items():
            fastest[name] = [min(best, _once(call)) for best, call in zip(fastest[name], work, strict=True)]
    return fastest


def _once(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def sizes(model: Retriever | Teacher) -> tuple[int, int]:
    """Parameters with and without the word vectors."""
    module = model.question_tower.encoder if isinstance(model, Retriever) else model.module
    total = sum(p.numel() for p in module.parameters())
    return total, total - sum(
        p.numel() for m in module.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()
    )


def main() -> None:
    """Rank, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    questions = list(read_questions(arguments.questions))
    longest = max(questions, key=lambda question: len(question.ctxs or []))
    found: dict[str, list[dict[str, np.ndarray[Any, Any]]]] = {}
    models: dict[str, Retriever | Teacher] = {}
    found["BM25"] = [judge(questions, [np.array([p.score for p in q.ctxs or []]) for q in questions])]
    students = [p.parent for folder in arguments.folders for p in sorted(folder.glob("*/retriever.json"))]
    for name, folder in [("teacher", arguments.teacher), *((student.name, student) for student in students)]:
        model = load_teacher(folder) if name == "teacher" else load_retriever(folder)
        scores = by_student(model, questions) if isinstance(model, Retriever) else by_teacher(model, questions)
        found.setdefault(name, []).append(judge(questions, scores))
        models.setdefault(name, model)
        write_ranked(folder.with_name(f"{folder.name}.ranked.jsonl"), questions, scores)
    show(found, {name: sizes(model) for name, model in models.items()}, seconds(models, longest))


def write_ranked(path: Path, questions: Sequence[Question], scores: Scores) -> None:
    """The claims with their candidates in the model's order."""
    lines = []
    for question, values in zip(questions, scores, strict=True):
        record = question.to_json()
        order = np.argsort(-values, kind="stable")
        record["ctxs"] = [{"id": record["ctxs"][i]["id"], "score": float(values[i])} for i in order]
        lines.append(record)
    write_lines(path, lines)


def show(
    found: dict[str, list[dict[str, Any]]], size: dict[str, tuple[int, int]], times: dict[str, list[float]]
) -> None:
    """Mean and standard deviation over seeds, times and sizes, and paired tests of soft against hard."""
    print(f"| model | {' | '.join(METRICS)} |\n|---|{'---|' * len(METRICS)}")
    for name, runs in found.items():
        cells = []
        for metric in METRICS:
            means = [100 * run[metric].mean() for run in runs]
            spread = f" ± {np.std(means, ddof=1):.1f}" if len(means) > 1 else ""
            cells.append(f"{np.mean(means):.1f}{spread}")
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| model | parameters | without word vectors | (i) both encoded, ms | (ii) passages precomputed, ms |")
    print("|---|---|---|---|---|")
    for name, (total, rest) in size.items():
        smaller = f" ({size['teacher'][1] / rest:.0f} ×)" if rest else ""  # a static student is word vectors alone
        cells = [f"{1000 * time:.2f} ({times['teacher'][0] / time:.0f} ×)" for time in times[name]]
        print(f"| {name} | {total:,} | {rest:,}{smaller} | {' | '.join([*cells, '–'][:2])} |")
    print("\n| soft − hard | metric | difference | 95% interval | p |\n|---|---|---|---|---|")
    for student in sorted({name.split("-")[0] for name in found if "-" in name}):
        for metric in METRICS:
            hard, soft = (
                np.mean([run[metric] for run in found[f"{student}-{kind}"]], axis=0) for kind in ("hard", "soft")
            )
            test = compare(hard, soft)
            low, high = (f"{100 * bound:+.1f}" for bound in test.interval)
            print(
                f"| {student} | {metric} | {100 * test.difference:+.1f} | {low} … {high} | {test.p_randomisation:.4f} |"
            )


if __name__ == "__main__":
    main()

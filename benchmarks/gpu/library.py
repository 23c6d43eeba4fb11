"""What benchmarks/gpu.sh uses of the library, apart from its command line. Everything is imported where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch


class ScoringReader:
    """A reader as `score-attn` and `read` load and call it."""

    def __init__(self, folder: Path, token_budget: int) -> None:
        from fidtools.compute.device import Compute
        from fidtools.reader.reader_folder import load_inference_reader

        self.compute = Compute.choose("auto")
        self.reader = load_inference_reader(folder, token_budget, self.compute)

    def tokens(self, question: Any) -> list[list[int]]:
        return self.reader.passages(question)

    def encode(self, tokens: list[list[int]], token_budget: int) -> object:
        self.reader.fusion.token_budget = token_budget
        with torch.inference_mode(), self.compute.autocast():
            return self.reader.fusion.encode(tokens)

    def score(self, question: Any, tokens: list[list[int]]) -> object:
        from fidtools.reader.attention_scores import score_questions

        return score_questions(self.reader, [question], [tokens], ["attention"])

    def answer(self, tokens: list[list[int]], longest: int) -> object:
        from fidtools.reader.answering import answer_tokens
        from fidtools.reader.decoding import GenerationSettings

        return answer_tokens(self.reader, [tokens], GenerationSettings(max_tokens=longest))


class PassageEncoder:
    """A retriever as `embed` loads and calls it."""

    def __init__(self, folder: Path) -> None:
        from fidtools.compute.device import Compute
        from fidtools.retriever.encoding import load_retriever

        self.retriever = load_retriever(folder, compute=Compute.choose("auto"))

    def text(self, passage: Any) -> str:
        return self.retriever.settings.passage_text(passage)

    def tokens(self, passages: Sequence[Any]) -> list[list[int]]:
        return self.retriever.tokenize_passages(passages)

    def encode(self, rows: list[list[int]], token_budget: int) -> object:
        return self.retriever.encode_token_ids(rows, self.retriever.passage_tower.encoder, token_budget)


def save_retriever(encoder: Path, folder: Path) -> None:
    """A plain encoder as a retriever's folder, which sentence-transformers loads too."""
    from fidtools.retriever.encoding import load_retriever

    folder.mkdir()
    load_retriever(encoder, pooling="mean").save(folder)


def first_question(path: Path) -> Any:
    from fidtools.data.read import read_questions

    return next(iter(read_questions(path)))


def passages_in(path: Path) -> list[Any]:
    """All passages. The first opening looks through the file; commands on it later do not."""
    from fidtools.data.corpus import open_passages

    return list(open_passages(path))


def search(questions: np.ndarray, corpus: np.ndarray, k: int) -> np.ndarray:
    """The rows of the k best passages of each question, by exact search."""
    from fidtools.search.exact import search as exact_search
    from fidtools.search.vectors import ArrayVectors

    return exact_search(questions, ArrayVectors(corpus), k).rows


def run(*arguments: object) -> None:
    """A command of fidtools, in this process."""
    from fidtools import cli

    if code := cli.run([str(argument) for argument in arguments]):
        raise RuntimeError(f"fidtools {arguments[0]} exited with {code}")

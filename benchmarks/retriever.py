"""Encoding and training speed beside sentence-transformers: same model, same real passages, one process, in turns.

    python -m benchmarks.retriever PASSAGES.jsonl [--size minilm|base] [--count 512] [--questions 2]
        [--repeats 3] [--profile]

The clock includes tokenisation. Wall time is what counts on a quiet machine; processor time is what travels on a busy
one. The best of the repeats is reported, after one untimed turn each.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss

from benchmarks.timing import Timed, in_turns, show_operations
from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.precision import use_eager_attention
from fidtools.compute.tokenizers import load_tokenizer, save_tokenizer
from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.retriever.encoding import TOKEN_BUDGET, Retriever, load_retriever, load_trainable
from fidtools.retriever.examples import Example, Examples
from fidtools.retriever.loss import Loss
from fidtools.retriever.objective import RetrieverObjective
from fidtools.retriever.student import Student
from fidtools.training.order import ExampleRef

PER_QUESTION = 32


def model_folder(size: str) -> str:
    """A folder of that size: the bundled MiniLM, or a BERT-base of random weights with its tokenizer."""
    if size == "minilm":
        return str(resolve_model("minilm"))
    from transformers import BertConfig, BertModel

    folder = tempfile.mkdtemp()
    with loading("BERT-base"):
        torch.manual_seed(0)
        BertModel(BertConfig()).save_pretrained(folder)
        save_tokenizer(load_tokenizer("minilm", resolve_model("minilm")), Path(folder))
    return folder


def sentence_model(folder: Path, dtype: torch.dtype | None) -> SentenceTransformer:
    """The same folder in the other library."""
    options = {} if dtype is None else {"model_kwargs": {"dtype": dtype}}
    return SentenceTransformer(str(folder), **options)


def encoding(folder: Path, retriever: Retriever, passages: list[Passage]) -> dict[str, Callable[[], object]]:
    """Embed the passages: ours, theirs, theirs in bf16."""
    texts = [retriever.settings.passage_text(passage) for passage in passages]
    default, half = sentence_model(folder, None), sentence_model(folder, torch.bfloat16)
    plain = load_retriever(folder)
    return {
        "fidtools, float32": lambda: plain.encode_passages(passages),
        "sentence-transformers": lambda: default.encode(texts, show_progress_bar=False),
        "sentence-transformers, bf16": lambda: half.encode(texts, show_progress_bar=False),
        "fidtools": lambda: retriever.encode_passages(passages),
    }


def training(folder: Path, retriever: Retriever, passages: list[Passage], n: int) -> dict[str, Callable[[], object]]:
    """Forward and backward of `n` questions with 32 passages each: KL to the same scores."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(n, PER_QUESTION, generator=generator)
    groups = [passages[i * PER_QUESTION : (i + 1) * PER_QUESTION] for i in range(n)]
    questions = [" ".join(group[0].text.split()[:10]) for group in groups]
    return {
        "sentence-transformers": _their_step(sentence_model(folder, None), retriever, questions, groups, scores, False),
        "sentence-transformers, bf16": _their_step(
            sentence_model(folder, None), retriever, questions, groups, scores, True
        ),
        "fidtools": _our_step(retriever, questions, groups, scores),
    }


def _their_step(
    model: SentenceTransformer, retriever: Retriever, questions: list[str], groups: list[Any], scores: Any, half: bool
) -> Callable[[], object]:
    loss = DistillKLDivLoss(model)
    texts = [[retriever.settings.passage_text(group[k]) for group in groups] for k in range(PER_QUESTION)]
    compute = Compute.choose("bf16" if half else "float32")

    def step() -> None:
        model.zero_grad()
        columns = [
            model.preprocess(column) for column in ([retriever.settings.question_text(q) for q in questions], *texts)
        ]
        columns = [{k: v.to(model.device) if hasattr(v, "to") else v for k, v in c.items()} for c in columns]
        with compute.autocast():
            value = loss(columns, scores.to(model.device))
        value.backward()

    model.train()
    return step


def _our_step(retriever: Retriever, questions: list[str], groups: list[Any], scores: Any) -> Callable[[], object]:
    student = Student(retriever, Loss(), token_budget=TOKEN_BUDGET)
    compute = Compute.choose()
    if compute.eager_attention_is_faster:
        use_eager_attention(student)

    def step() -> None:
        student.train()
        student.zero_grad()
        examples = Examples()
        examples.questions.add(retriever.tokenize_questions(questions))
        for i, group in enumerate(groups):
            numbers = examples.add_passages(group, retriever)
            examples.items.append(Example(i, torch.tensor(numbers).numpy(), scores[i].numpy(), None))
        objective = RetrieverObjective(student, examples, None)
        for batch in objective.micro_batches([ExampleRef(i, 0) for i in range(len(groups))]):
            with compute.autocast():
                value = student(batch) / len(groups)
            value.backward()

    return step


def show(title: str, timed: Timed, count: int) -> None:
    """A Markdown table: rate by both clocks, and ours over theirs."""
    print(f"\n| {title} | passages/s (wall) | passages per processor second | fidtools is |\n|---|---|---|---|")
    ours = timed["fidtools"]
    for name, (wall, processor) in timed.items():
        ratio = f"{wall / ours[0]:.2f} × (wall), {processor / ours[1]:.2f} × (processor)"
        print(f"| {name} | {count / wall:.1f} | {count / processor:.1f} | {ratio} |")


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("passages", type=Path)
    parser.add_argument("--size", choices=["minilm", "base"], default="minilm")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--questions", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="profile a training step only")
    arguments = parser.parse_args()
    passages = list(itertools.islice(read_passages(arguments.passages), arguments.count))
    folder = Path(tempfile.mkdtemp()) / "retriever"
    folder.mkdir()
    start = load_retriever(model_folder(arguments.size), pooling="mean", normalize=False)
    start.save(folder)
    retriever = load_retriever(folder, compute=Compute.choose())
    units = [name for name in ("amx_bf16", "avx512_bf16") if torch.cpu.get_capabilities().get(name)]
    print(f"{arguments.size}: {torch.get_num_threads()} threads, bf16 units: {', '.join(units) or 'none'}")
    n = arguments.questions
    if arguments.profile:
        steps = training(folder, load_trainable(folder, compute=Compute.choose()), passages, n)
        show_operations(steps["fidtools"])
        return
    show("embed", in_turns(encoding(folder, retriever, passages), arguments.repeats), len(passages))
    steps = training(folder, load_trainable(folder, compute=Compute.choose()), passages, n)
    show(f"training step, {n} × {PER_QUESTION} passages", in_turns(steps, arguments.repeats), n * PER_QUESTION)


if __name__ == "__main__":
    main()

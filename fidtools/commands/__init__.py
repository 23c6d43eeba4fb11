"""The subcommands, one module each: `train_reader.py` holds `fidtools train-reader`.

A new command needs a module here and a line in `SECTIONS`, which `fidtools --help` prints in this order. The summaries
stand here so that listing the commands imports none of them. A module imports click and
`fidtools.commands._options` at the top and everything heavier inside its function, so that help stays fast.
"""

from __future__ import annotations

import importlib

import click

from fidtools.commands._outputs import guard

SECTIONS: dict[str, dict[str, str]] = {
    "Data": {
        "fetch": "Download a dataset and normalise it",
        "chunk": "Split documents into passages of 100 words",
        "validate": "Check data files before they are used",
        "convert": "Convert data formats and model checkpoints",
        "generate-questions": "Write questions about passages",
    },
    "Retrieval": {
        "bm25": "Retrieve passages with BM25",
        "embed": "Encode passages or questions as vectors",
        "index": "Build a FAISS index from embeddings",
        "retrieve": "Retrieve passages with a trained retriever",
        "fuse": "Combine several rankings into one",
        "collapse": "Rank passages by their best parts",
    },
    "Questions": {
        "search": "Ask one question in the terminal",
        "serve": "Serve a search page and an HTTP interface",
    },
    "Reader": {
        "train-reader": "Train a Fusion-in-Decoder reader",
        "read": "Answer questions from their passages",
    },
    "Teachers": {
        "score-attn": "Score passages by the reader's attention",
        "score-likelihood": "Score passages by the answer's likelihood",
        "train-teacher": "Train a cross-encoder as a teacher",
        "score-cross": "Score passages with a cross-encoder",
        "teacher-report": "Diagnose scores before training on them",
    },
    "Retriever": {
        "train-retriever": "Train a retriever on passage scores",
    },
    "Evaluation": {
        "eval": "Compute retrieval and answer metrics",
        "compare": "Test whether systems differ significantly",
        "report": "Write a page about a run",
    },
    "Tools": {
        "doctor": "Report on this machine and installation",
        "plan": "Estimate disk space, memory and time",
    },
}

SUMMARIES = {name: summary for section in SECTIONS.values() for name, summary in section.items()}


def load_command(name: str) -> click.Command:
    """The command of that name, which refuses outputs that would destroy its inputs. Imports its module."""
    command: click.Command = importlib.import_module(f"fidtools.commands.{name.replace('-', '_')}").command
    guard(command)
    return command

"""DPR's encoders become one retriever folder, whose vectors are those that transformers computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

from fidtools import cli
from fidtools.data.records import Passage
from fidtools.errors import DataError, UsageError
from fidtools.released.dpr_encoders import convert_dpr
from fidtools.retriever.encoding import load_retriever
from tests.models import bert_tokenizer

PASSAGES = [
    Passage("a", "w1 w2 title w3", title="w4 w5"),
    Passage("b", "w6 w7 w8", title=""),
    Passage("c", "w9 [SEP] w10", title="w1"),
]
QUESTIONS = ["question w2", "w6 w7 context w8"]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of an encoder of questions and of one of passages."""
    root = tmp_path_factory.mktemp("dpr")
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = DPRConfig(vocab_size=len(bert_tokenizer()), **sizes)
    for seed, (name, kind) in enumerate({"q": DPRQuestionEncoder, "p": DPRContextEncoder}.items()):
        torch.manual_seed(seed)
        kind(config).save_pretrained(root / name)
        bert_tokenizer().save_pretrained(root / name)
    return root / "q", root / "p"


@torch.no_grad()
def test_the_vectors_are_those_of_transformers(encoders: tuple[Path, Path], tmp_path: Path) -> None:
    convert_dpr(*map(str, encoders), tmp_path / "dpr")
    retriever, tokenizer = load_retriever(tmp_path / "dpr"), bert_tokenizer()
    questions, passages = (
        DPRQuestionEncoder.from_pretrained(encoders[0]),
        DPRContextEncoder.from_pretrained(encoders[1]),
    )
    pairs = [tokenizer(p.title, p.text, return_tensors="pt", return_token_type_ids=False) for p in PASSAGES]
    expected = torch.cat([passages(**pair).pooler_output for pair in pairs])
    np.testing.assert_allclose(retriever.encode_passages(PASSAGES), expected, rtol=1e-5, atol=1e-6)
    texts = [tokenizer(question, return_tensors="pt", return_token_type_ids=False) for question in QUESTIONS]
    expected = torch.cat([questions(**text).pooler_output for text in texts])
    np.testing.assert_allclose(retriever.encode_questions(QUESTIONS), expected, rtol=1e-5, atol=1e-6)


def test_what_is_no_such_encoder_is_said(encoders: tuple[Path, Path], tmp_path: Path) -> None:
    questions, passages = map(str, encoders)
    with pytest.raises(DataError, match="an encoder of passages, not of questions\n  the encoder of questions comes"):
        convert_dpr(passages, questions, tmp_path / "dpr")
    with pytest.raises(UsageError, match="fidtools convert dpr QUESTIONS PASSAGES"):
        load_retriever(questions)
    other = tmp_path / "bert"
    other.mkdir()
    (other / "config.json").write_bytes(orjson.dumps({"model_type": "bert"}))
    with pytest.raises(DataError, match="not an encoder of DPR"):
        convert_dpr(questions, str(other), tmp_path / "dpr")
    assert not (tmp_path / "dpr").exists()


def test_it_ranks_and_can_be_trained(
    encoders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.jsonl").write_bytes(b"\n".join(orjson.dumps(passage.to_json()) for passage in PASSAGES))
    question = {"id": "1", "question": QUESTIONS[0], "answers": ["w2"]}
    ranked = question | {"ctxs": [p.to_json() | {"scores": {"bm25": float(n)}} for n, p in enumerate(PASSAGES)]}
    Path("q.jsonl").write_bytes(orjson.dumps(ranked))
    assert cli.run(["convert", "dpr", *map(str, encoders), "-o", "dpr", "-q"]) == 0
    short = ["--steps", "1", "--eval-every", "1", "--batch", "1", "-q"]
    assert cli.run(["train-retriever", "q.jsonl", "--retriever", "dpr", "--teacher", "bm25", "-o", "r", *short]) == 0
    assert cli.run(["embed", "p.jsonl", "--retriever", "r", "-o", "p.npy", "-q"]) == 0
    search = ["--retriever", "r", "--embeddings", "p.npy", "-p", "p.jsonl", "-o", "out.jsonl", "-q"]
    assert cli.run(["retrieve", "q.jsonl", *search]) == 0
    trained = load_retriever("r")
    vectors = trained.encode_passages(PASSAGES) @ trained.encode_questions(QUESTIONS[:1])[0]
    found = orjson.loads(Path("out.jsonl").read_bytes())["ctxs"]
    assert [passage["id"] for passage in found] == [PASSAGES[row].id for row in np.argsort(-vectors)]

"""fidtools embed: what is written, and that killing, ranks and memory change none of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from fidtools.data.embeddings import read_embeddings
from fidtools.data.records import Passage
from fidtools.retriever import embedding
from fidtools.retriever.encoding import load_retriever
from tests import two_ranks
from tests.models import WORDS

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
FIDTOOLS = str(Path(sys.executable).with_name("fidtools"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "passages.jsonl"
    lines = [{"id": f"p{i}", "title": WORDS[i % 7], "text": " ".join(WORDS[: 1 + i % 11])} for i in range(50)]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


def test_passages_are_embedded_in_order(plain_model: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = ["embed", str(corpus), "--retriever", str(plain_model), "--pooling", "mean", "--precision", "float32"]
    assert run([*arguments, "-o", str(tmp_path / "x.npy")]) == 0
    found = read_embeddings(tmp_path / "x.npy")
    retriever = load_retriever(plain_model, pooling="mean")
    passages = [Passage(f"p{i}", " ".join(WORDS[: 1 + i % 11]), WORDS[i % 7]) for i in range(50)]
    alone = np.concatenate([retriever.encode_passages([passage]) for passage in passages])
    np.testing.assert_allclose(found.vectors, alone, rtol=1e-5, atol=1e-6)
    assert list(found.ids) == [f"p{i}" for i in range(50)]
    assert found.meta["encoder"] == retriever.fingerprint
    assert (found.meta["of"], found.meta["rows"], found.meta["dim"]) == ("passages", 50, 16)
    assert run([*arguments, "-o", str(tmp_path / "half.npy"), "--dtype", "float16", "--token-budget", "64"]) == 0
    half = read_embeddings(tmp_path / "half.npy")
    assert half.vectors.dtype == np.float16
    np.testing.assert_allclose(half.vectors, alone, rtol=2e-3, atol=1e-3)


def test_questions_are_embedded_as_the_retriever_reads_them(plain_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "a", "question": "w1 w2"}\n{"question": "w3"}\n')
    output = tmp_path / "q.npy"
    arguments = ["embed", "--questions", str(path), "--retriever", str(plain_model), "--precision", "float32"]
    assert run([*arguments, "-o", str(output)]) == 0
    found = read_embeddings(output)
    assert list(found.ids) == ["a", "1"]
    assert np.array_equal(found.vectors, load_retriever(plain_model).encode_questions(["w1 w2", "w3"]))
    assert found.meta["encoder"] == load_retriever(plain_model).fingerprint


@pytest.mark.slow
def test_a_killed_run_and_two_ranks_give_the_same_bytes(
    plain_model: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["embed", str(corpus), "--retriever", str(plain_model), "--precision", "float32", "-o"]
    monkeypatch.setattr(embedding, "BLOCK", 8)
    assert run([*arguments, str(tmp_path / "x.npy")]) == 0
    expected = (tmp_path / "x.npy").read_bytes()
    script = """
import os, signal, sys
from fidtools.retriever import embedding
from fidtools.retriever.encoding import Retriever
from fidtools.cli import main
embedding.BLOCK = 8
blocks = []
def encode(self, token_ids, encoder, budget, plain=Retriever.encode_token_ids):
    blocks.append(1)
    if len(blocks) == int(os.environ["LAST"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, token_ids, encoder, budget)
Retriever.encode_token_ids = encode
main(sys.argv[1:])
"""
    (tmp_path / "run.py").write_text(script)
    cut = [*arguments, str(tmp_path / "cut.npy")]
    killed = subprocess.run([sys.executable, tmp_path / "run.py", *cut], check=False, env=ONE_THREAD | {"LAST": "4"})
    assert killed.returncode == -9
    assert not (tmp_path / "cut.npy").exists()
    assert run([*cut, "--resume", "--dtype", "float16"]) == 2
    assert "the unfinished run used other settings: dtype was float32, is now float16" in capsys.readouterr().err
    assert run([*cut, "--resume", "-v"]) == 0
    assert "encoded 26 texts" in capsys.readouterr().err  # the first three blocks of eight were there
    assert (tmp_path / "cut.npy").read_bytes() == expected
    two = [tmp_path / "run.py", *arguments, tmp_path / "two.npy"]
    two_ranks.run_script(*two, env=ONE_THREAD | {"LAST": "99"})
    assert (tmp_path / "two.npy").read_bytes() == expected
    assert (tmp_path / "two.ids").read_bytes() == (tmp_path / "x.ids").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{corpus}", "--retriever", "{tmp}/none", "-o", "{tmp}/x.npy"], 2, "no such model folder"),
        (["{corpus}", "--retriever", "{model}", "-o", "{tmp}/x.bin"], 2, "--output must end in .npy"),
        (["{tmp}/absent", "--retriever", "{model}", "-o", "{tmp}/x.npy"], 1, "absent: no such file"),
        (["{tmp}/empty", "--retriever", "{model}", "-o", "{tmp}/x.npy"], 1, "the file is empty"),
        (["{tmp}/blank", "--retriever", "{model}", "-o", "{tmp}/x.npy"], 1, "blank: no passages: the file is empty"),
        (["{tmp}/bad", "--retriever", "{model}", "-o", "{tmp}/x.npy"], 1, "bad:2: malformed JSON"),
        (
            ["--questions", "{tmp}/twice", "--retriever", "{model}", "-o", "{tmp}/x.npy"],
            1,
            "twice:3: field 'id': also the id of line 1, which asks",
        ),
        (["{corpus}", "--retriever", "{model}", "-o", "{tmp}/no/x.npy"], 2, "does not exist"),
        (["{corpus}", "--retriever", "{model}", "--passage-maxlength", "99", "-o", "{tmp}/x.npy"], 2, "at most 64"),
    ],
)
def test_bad_input_gets_one_message_and_leaves_nothing(
    plain_model: Path,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "blank").write_text("\n\n")
    (tmp_path / "twice").write_bytes(b"".join(orjson.dumps({"id": n, "question": "a"}) + b"\n" for n in (7, 8, 7)))
    (tmp_path / "bad").write_text('{"id": "1", "text": "a"}\n{"id": \n')
    names = {"corpus": corpus, "tmp": tmp_path, "model": plain_model}
    assert run(["embed", *(argument.format(**names) for argument in arguments)]) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*x.*"))

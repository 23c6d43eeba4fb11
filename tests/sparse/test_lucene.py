"""BM25 by Lucene: the formula, agreement with tantivy on real passages, documents, and silence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fidtools.data.corpus import Corpus, open_passages
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, FidtoolsError, MissingExtraError
from fidtools.sparse import jvm
from fidtools.sparse.engine import BM25Settings
from fidtools.sparse.ranking import rank
from fidtools.sparse.store import open_index

pytest.importorskip("jnius_config", reason="needs fidtools[lucene]")
WORDS = ["red fox", "red red fox jumps over it", "blue fox", "a red dog and a red cat and a red bird", "nothing here"]


def corpus(tmp_path: Path, texts: list[str], doc_ids: list[str] | None = None) -> Corpus:
    ids = doc_ids or [None] * len(texts)
    lines = (Passage(f"p{i}", t, doc_id=d).to_json() for i, (t, d) in enumerate(zip(texts, ids, strict=True)))
    write_lines(tmp_path / "p.jsonl", lines)
    return open_passages(tmp_path / "p.jsonl")


def search(passages: Corpus, text: str, k: int = 10, doc_id: str | None = None, **settings: float) -> list:
    engine = open_index(passages, BM25Settings("lucene", "standard", **settings))
    (found,) = rank([Question("q", text, doc_id=doc_id)], engine, passages, k, within=doc_id is not None)
    return [(p.id, p.score) for p in found.ctxs or []]


def test_k1_and_b_are_applied_when_searching(tmp_path: Path) -> None:
    """`fox` is in 3 of 5 passages: idf = ln(1 + 2.5 / 3.5). Lengths are 2, 6, 2, 11, 2; their mean is 4.6."""
    passages, idf = corpus(tmp_path, WORDS), np.log(1 + 2.5 / 3.5)
    for k1, b in ((1.2, 0.75), (0.9, 0.4), (2.0, 0.0)):
        found = search(passages, "fox", k1=k1, b=b)
        length = {"p0": 2, "p2": 2, "p1": 6}
        assert [i for i, _ in found] == (["p0", "p1", "p2"] if b == 0 else ["p0", "p2", "p1"])
        expected = [idf / (1 + k1 * (1 - b + b * length[i] / 4.6)) for i, _ in found]
        assert [s for _, s in found] == pytest.approx(expected, abs=1e-5)


def test_equal_passages_are_listed_in_their_order_whatever_k(tmp_path: Path) -> None:
    passages = corpus(tmp_path, ["other words", *["red fox jumps"] * 300, "red fox"])
    assert [i for i, _ in search(passages, "red fox", k=40)] == ["p301", *[f"p{i}" for i in range(1, 40)]]


def test_within_a_document(tmp_path: Path) -> None:
    passages = corpus(tmp_path, WORDS, ["x", "y", "x", "y", "x"])
    everywhere = dict(search(passages, "red fox"))
    assert search(passages, "red fox", doc_id="x") == [(i, pytest.approx(everywhere[i])) for i in ("p0", "p2")]


def test_odd_questions(tmp_path: Path) -> None:
    passages = corpus(tmp_path, WORDS)
    assert search(passages, "???") == search(passages, "zebra") == []
    assert search(passages, '+red -fox AND "dog" title:(~*[') == search(passages, "red fox and dog title")
    assert search(passages, "fox " + " ".join(f"word{i}" for i in range(3000))) == search(passages, "fox")


def test_an_index_that_is_damaged_is_named(tmp_path: Path) -> None:
    passages = corpus(tmp_path, WORDS)
    search(passages, "red")
    for part in (tmp_path / "p.jsonl.bm25-lucene" / "index").iterdir():
        part.unlink()
    with pytest.raises(DataError, match="lucene cannot open this index"):
        search(passages, "red")


def test_agrees_with_tantivy_on_real_passages(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """Letters and digits only, so that both engines see the same words."""
    data = "data/squad-open/small"
    texts = [plain(f"{p.title} {p.text}") for p in read_passages(shared(f"{data}/passages.jsonl.gz"))]
    questions = [plain(q.question) for q in read_questions(shared(f"{data}/test.jsonl.gz"))]
    passages = corpus(tmp_path, texts)
    lucene, tantivy = (
        open_index(passages, BM25Settings(engine, "standard")).search(questions, 100)
        for engine in ("lucene", "tantivy")
    )
    shares = [len(np.intersect1d(a.rows, b.rows)) / len(a.rows) for a, b in zip(lucene, tantivy, strict=True)]
    assert np.mean(shares) > 0.999
    assert np.mean([a.rows[0] == b.rows[0] for a, b in zip(lucene, tantivy, strict=True)]) > 0.995
    for a, b in zip(lucene, tantivy, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=2e-4)


def plain(text: str) -> str:
    return " ".join(re.findall("[a-z0-9]+", text.lower()))


def test_the_command_says_nothing_but_its_own(tmp_path: Path) -> None:
    passages = corpus(tmp_path, WORDS)
    write_lines(tmp_path / "q.jsonl", [{"id": "a", "question": "red fox"}])
    arguments = ["bm25", "-q", str(tmp_path / "q.jsonl"), "-p", str(passages.path), "--engine", "lucene"]
    program = [sys.executable, "-c", "from fidtools.cli import main; main()", *arguments]
    done = subprocess.run(program, capture_output=True, check=True)
    assert done.stderr == b""
    assert done.stdout.startswith(b'{"id":"a","question":"red fox","ctxs":[{"id":"p0"')
    assert done.stdout.count(b"\n") == 1


def test_without_the_packages_or_with_an_old_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "find_spec", lambda name: None)
    monkeypatch.setenv("FIDTOOLS_JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "release").write_text('IMPLEMENTOR="X"\nJAVA_VERSION="17.0.2"\n')
    with pytest.raises(FidtoolsError, match=r"Java 21 or newer; found .* \(Java 17\)"):
        jvm.java_home()
    with pytest.raises(MissingExtraError, match=r"fidtools\[lucene\]"):
        jvm._jar()


def test_an_engine_that_is_not_installed_is_one_message(tmp_path: Path) -> None:
    passages = corpus(tmp_path, WORDS)
    write_lines(tmp_path / "q.jsonl", [{"id": "a", "question": "red fox"}])
    hide = "import sys; sys.modules['jnius_config'] = None; from fidtools.cli import main; main()"
    arguments = ["bm25", str(tmp_path / "q.jsonl"), "-p", str(passages.path), "--engine", "lucene"]
    done = subprocess.run([sys.executable, "-c", hide, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        "BM25 by Lucene needs an optional package\n"
        "  bin/setup lucene (in the repository), or: pip install 'fidtools[lucene]'\n"
    )

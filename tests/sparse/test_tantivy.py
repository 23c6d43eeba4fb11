"""BM25 by tantivy: scores against the formula, ties by row, quality on real questions, and an index that is kept."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fidtools import cli
from fidtools.data.corpus import open_passages
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.data.words import spell_out
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError
from fidtools.sparse.engine import AnalyzerName, BM25Settings
from fidtools.sparse.ranking import rank, rescore
from fidtools.sparse.store import open_index
from fidtools.sparse.tantivy_engine import TantivyEngine

WORDS = ["red fox", "red red fox jumps over it", "blue fox", "a red dog and a red cat and a red bird", "nothing here"]


def corpus(tmp_path: Path, texts: list[str], doc_ids: list[str] | None = None) -> Path:
    path = tmp_path / "p.jsonl"
    ids = doc_ids or [None] * len(texts)
    write_lines(
        path, (Passage(f"p{i}", t, doc_id=d).to_json() for i, (t, d) in enumerate(zip(texts, ids, strict=True)))
    )
    return path


def search(path: Path, text: str, k: int = 10, doc_id: str | None = None) -> list[tuple[str | None, float | None]]:
    passages = open_passages(path)
    engine = open_index(passages, BM25Settings(analyzer="standard"))
    question = Question("q", text, doc_id=doc_id)
    (found,) = rank([question], engine, passages, k, within=doc_id is not None)
    return [(p.id, p.score) for p in found.ctxs or []]


def by_the_formula(texts: list[str], question: str) -> list[tuple[str, float]]:
    """Lucene's BM25 with exact lengths (those below 40 words are kept exactly by the engine)."""
    tokens = [text.split() for text in texts]
    mean = sum(map(len, tokens)) / len(tokens)
    scores = [0.0] * len(texts)
    for word in question.split():
        df = sum(word in t for t in tokens)
        idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        for row, t in enumerate(tokens):
            tf = Counter(t)[word]
            scores[row] += idf * tf / (tf + 1.2 * (0.25 + 0.75 * len(t) / mean))
    ranked = sorted((-score, row) for row, score in enumerate(scores) if score > 0)
    return [(f"p{row}", -score) for score, row in ranked]


def test_passages_found_by_another_tool_get_their_scores_in_place(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    passages = open_passages(path)
    engine = open_index(passages, BM25Settings(analyzer="standard"))
    expected = dict(search(path, "red fox"))
    given = [Passage(x, "any text", score=9.0 - i, scores={"dense": 9.0 - i}) for i, x in enumerate(["p4", "p0", "p1"])]
    (found,) = rescore([Question("q", "red fox", ctxs=given)], engine, passages)
    assert [(p.id, p.score, p.scores) for p in found.ctxs or []] == [
        ("p4", 9.0, {"dense": 9.0, "bm25": 0.0}),  # no word in common
        ("p0", 8.0, {"dense": 8.0, "bm25": expected["p0"]}),
        ("p1", 7.0, {"dense": 7.0, "bm25": expected["p1"]}),
    ]
    with pytest.raises(DataError, match="not in the corpus"):
        list(rescore([Question("q", "red", ctxs=[Passage("elsewhere", "red")])], engine, passages))


@pytest.mark.parametrize("question", ["red", "red fox", "fox fox red", "a red it", "bird nothing"])
def test_scores_are_those_of_lucenes_formula(tmp_path: Path, question: str) -> None:
    found, expected = search(corpus(tmp_path, WORDS), question), by_the_formula(WORDS, question)
    assert [i for i, _ in found] == [i for i, _ in expected]
    assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=1e-3)


def test_equal_passages_are_listed_in_their_order_whatever_k(tmp_path: Path) -> None:
    path = corpus(tmp_path, ["other words", *["red fox jumps"] * 300, "red fox"])
    assert [i for i, _ in search(path, "red fox", k=40)] == ["p301", *[f"p{i}" for i in range(1, 40)]]


def test_a_question_without_a_known_word_finds_nothing(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    assert search(path, "???") == search(path, "zebra") == []


CHINESE = ["北京是中华人民共和国的首都。", "东京是日本的首都。", "กรุงเทพมหานครเป็นเมืองหลวง", "red fox 手机"]


@pytest.mark.parametrize("analyzer", ["english", "standard"])
def test_scripts_without_spaces_are_searched_by_characters_and_pairs(analyzer: AnalyzerName, tmp_path: Path) -> None:
    passages = open_passages(corpus(tmp_path, CHINESE))
    engine = open_index(passages, BM25Settings(analyzer=analyzer), tmp_path / analyzer)
    asked = {"中华人民共和国的首都是哪里": "p0", "日本": "p1", "เมืองหลวง": "p2", "手": "p3", "fox": "p3"}
    ranked = rank([Question(text, text) for text in asked], engine, passages)
    assert {question.id: (question.ctxs or [])[0].id for question in ranked} == asked


@pytest.mark.parametrize("analyzer", ["english", "standard"])
def test_spellings_of_one_word_find_each_other(analyzer: AnalyzerName, tmp_path: Path) -> None:
    spellings = [
        ("σοφός", "ΣΟΦΌΣ"),
        ("İstanbul", "istanbul"),
        ("co\u00adope\u00adrate", "cooperate"),
        ("zero\u200bwid\u2060th", "zerowidth"),
        ("cafe\u0301s", "cafés"),
        ("за\u0301мок", "замок"),
        ("हिन्दी", "हिन्\u200dदी"),
        ("दी", "दी"),  # a part of the word before, which is another word
    ]
    texts = [text for pair in spellings for text in pair]
    passages = open_passages(corpus(tmp_path, texts))
    engine = open_index(passages, BM25Settings(analyzer=analyzer), tmp_path / analyzer)
    found = {q.id: {p.text for p in q.ctxs or []} for q in rank([Question(t, t) for t in texts], engine, passages)}
    assert found == {text: set(pair) for pair in spellings for text in pair}


def test_all_passages_that_round_to_the_score_of_the_last_one_are_looked_at() -> None:
    class Searcher:
        num_docs = 40

        def search(self, query: Any, limit: int, count: bool) -> Any:
            return SimpleNamespace(hits=[(2.2 * score, None) for score in [1.00004] + 39 * [0.99996]][:limit])

    engine = object.__new__(TantivyEngine)
    engine._searcher = Searcher()  # type: ignore[assignment]
    assert len(engine._found(None, 1)) == 40


def test_text_with_spaces_is_indexed_as_it_is() -> None:
    for text in ["Red foxes, naïve cafés – Ωμέγα привет 한국어 हिन्दी\n", "", "x" * 300]:
        assert spell_out(text) is text


def test_questions_that_find_nothing_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = corpus(tmp_path, WORDS)
    write_lines(tmp_path / "q.jsonl", [{"question": "zebra"}, {"question": "fox"}])
    assert cli.run(["bm25", str(tmp_path / "q.jsonl"), "-p", str(path), "-o", str(tmp_path / "r.jsonl")]) == 0
    assert "no passage was found for 1 of 2 questions" in capfd.readouterr().err


def test_a_new_ranking_has_no_answers_of_an_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    passages = open_passages(corpus(tmp_path, WORDS))
    answered = {"log_probability": -1.0, "predictions": [{"text": "stale"}], "kind": "x"}
    asked = [
        Question("0", "red fox", ctxs=[Passage("old", "old")], prediction="stale", extra=answered),
        Question("1", "blue fox", extra={"predictions": "a field of the user's"}),
    ]
    first, second = rank(asked, open_index(passages, BM25Settings()), passages, 1)
    assert (first.prediction, first.extra) == (None, {"kind": "x"})
    assert second.extra == {"predictions": "a field of the user's"}
    assert "the predictions of 1 questions were removed: other passages are listed now" in caplog.text


def test_query_syntax_has_no_meaning(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    assert search(path, '+red -fox AND "dog" title:(~*[') == search(path, "red fox dog and title")


def test_within_a_document(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS, ["x", "y", "x", "y", "x"])
    everywhere = dict(search(path, "red fox"))
    assert search(path, "red fox", doc_id="x") == [(i, everywhere[i]) for i in ("p0", "p2")]
    with pytest.raises(DataError, match=r"field 'doc_id': no passage of .* has the doc_id of question q \(got z\)"):
        search(path, "red", doc_id="z")


def test_the_index_is_kept_and_follows_its_passages(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    meta = tmp_path / "p.jsonl.bm25-tantivy" / "meta.json"
    first = search(path, "red")
    built = meta.stat().st_mtime_ns
    assert search(path, "red") == first
    assert meta.stat().st_mtime_ns == built
    assert next(i for i, _ in search(corpus(tmp_path, ["red", *WORDS]), "red")) == "p0"


def test_a_named_index_of_other_passages_is_refused(tmp_path: Path) -> None:
    open_index(open_passages(corpus(tmp_path, WORDS)), BM25Settings(), tmp_path / "named")
    with pytest.raises(
        MismatchError, match=r"named: this index was built from other passages or settings: rows 5 instead of 6"
    ):
        open_index(open_passages(corpus(tmp_path, ["red", *WORDS])), BM25Settings(), tmp_path / "named")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(FidtoolsError, match="not a BM25 index"):
        open_index(open_passages(corpus(tmp_path, WORDS)), BM25Settings(), tmp_path / "mine")


KILLED = """
import os, sys
from fidtools.data.corpus import open_passages
from fidtools.sparse import tantivy_engine
from fidtools.sparse.store import open_index
from fidtools.sparse.engine import BM25Settings
def indexed_text(passage):
    if passage.id == "p3": os.kill(os.getpid(), 9)
    return passage.text
tantivy_engine.indexed_text = indexed_text
open_index(open_passages(sys.argv[1]), BM25Settings())
"""


def test_an_interrupted_build_is_never_searched_and_cleared_away(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert not (tmp_path / "p.jsonl.bm25-tantivy").exists()
    assert len(list(tmp_path.glob(".*.partial"))) == 1
    assert len(search(path, "red")) == 3
    assert list(tmp_path.glob(".*.partial")) == []


def test_an_index_that_lost_passages_is_named(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    search(path, "red")
    shutil.rmtree(tmp_path / "p.jsonl.bm25-tantivy" / "index")
    with pytest.raises(DataError, match="tantivy cannot open this index"):
        search(path, "red")


def test_other_parameters_are_refused_with_a_word_on_lucene() -> None:
    with pytest.raises(UsageError, match=r"(?s)tantivy's k1 = 1.2 and b = 0.75 are fixed.*--engine lucene"):
        BM25Settings("tantivy", k1=0.9)


# recall in percent at 1, 5, 20, 100 of the gold passages by bm25s with stemming and stop words (shared baselines)
BASELINES = {
    ("squad-open/small", "test"): (72.2, 90.2, 95.6, 97.8),
    ("nq-gold", "test"): (75.2, 90.3, 95.0, 97.5),
}


@pytest.mark.parametrize("data", BASELINES)
def test_real_questions_find_their_passages_at_least_as_often_as_the_baseline(
    shared: Callable[[str], Path], tmp_path: Path, data: tuple[str, str]
) -> None:
    folder, split = data
    path = tmp_path / "passages.jsonl.gz"
    path.write_bytes(shared(f"data/{folder}/passages.jsonl.gz").read_bytes())
    passages = open_passages(path)
    ranked = rank(
        read_questions(shared(f"data/{folder}/{split}.jsonl.gz")), open_index(passages, BM25Settings()), passages
    )
    gold_ranks = [_first(q.extra["gold"], [p.id for p in q.ctxs or []]) for q in ranked]
    recall = [100 * sum(rank < k for rank in gold_ranks) / len(gold_ranks) for k in (1, 5, 20, 100)]
    assert all(found >= bar for found, bar in zip(recall, BASELINES[data], strict=True)), recall


def _first(gold: list[str], ranked: list[str | None]) -> float:
    return next((rank for rank, identifier in enumerate(ranked) if identifier in gold), math.inf)


def test_stories_find_their_sections_at_least_as_often_as_the_baseline(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "passages.jsonl.gz"
    path.write_bytes(shared("data/fairytaleqa/passages.jsonl.gz").read_bytes())
    passages = open_passages(path)
    questions = read_questions(shared("data/fairytaleqa/val.jsonl.gz"))
    ranked = list(rank(questions, open_index(passages, BM25Settings()), passages, within=True))
    assert all(p.doc_id == q.doc_id for q in ranked for p in q.ctxs or [])
    ranks = [_first(q.extra["gold_sections"], [p.id for p in q.ctxs or []]) for q in ranked]
    recall = [100 * sum(rank < k for rank in ranks) / len(ranks) for k in (1, 3, 5, 10)]
    assert all(found >= bar for found, bar in zip(recall, (66.0, 83.3, 89.1, 95.9), strict=True)), recall


def test_the_command_and_its_first_line(tmp_path: Path) -> None:
    path = corpus(tmp_path, WORDS)
    write_lines(tmp_path / "q.jsonl", ({"id": i, "question": "red fox", "mine": [i]} for i in range(5000)))
    arguments = ["bm25", "-q", str(tmp_path / "q.jsonl"), "-p", str(path), "-k", "2"]
    assert cli.run([*arguments, "-o", str(tmp_path / "out.jsonl")]) == 0
    ranked = list(read_questions(tmp_path / "out.jsonl"))
    assert (len(ranked), ranked[4999].id, ranked[4999].extra["mine"]) == (5000, "4999", [4999])
    assert [(p.id, p.scores["bm25"] == p.score) for p in ranked[0].ctxs or []] == [("p0", True), ("p1", True)]
    program = [sys.executable, "-c", "from fidtools.cli import main; main()", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)[0]
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_message_about_an_index_names_the_option_of_the_command(tmp_path, capsys):
    """`search` has another `--index`, of vectors, to which the message sent."""
    for name, text in (("a", "a door"), ("b", "a street")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"id": "p", "title": "", "text": "{text}"}}\n')
    question = ["search", "door", "--bm25", "--bm25-index", str(tmp_path / "ix"), "-q"]
    assert cli.run([*question, "-p", str(tmp_path / "a.jsonl")]) == 0
    assert cli.run([*question, "-p", str(tmp_path / "b.jsonl")]) == 1
    hint = "name another folder with --index of bm25, or --bm25-index of other commands; or remove this one"
    assert capsys.readouterr().err.splitlines()[-1] == f"  {hint}"

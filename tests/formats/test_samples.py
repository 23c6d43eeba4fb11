"""Every real sample is told apart and read, with nothing left behind."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from fidtools import cli
from fidtools.formats.lookup import detect_format, read_all

DUMMY, STORY = "hf-dummy/narrativeqa-default", "narrativeqa_full_text.zip_"
MASTER = f"{DUMMY}/master.zip_narrativeqa-master_"
SAMPLES = {
    "beir/nfcorpus.corpus.jsonl": ("beir-corpus", 2),
    "beir/nfcorpus.qrels.tsv": ("trec-qrels", 234),
    "beir/nfcorpus.queries.tsv": ("queries-tsv", 5),
    "colbert/triples-text.20.tsv": ("triples", 20),
    "dpr/biencoder-train.2.json": ("dpr-train", 2),
    "dpr/curated-test-regex.jsonl": ("nq-open", 100),
    "dpr/nq-dev.qa.csv": ("dpr-qa", 177),
    "dpr/trivia-test.qa.csv": ("dpr-qa", 155),
    "fid/nq-open-oracle.head20.jsonl": ("fid", 20),
    "fid/retrievalqa-popqa.10.jsonl": ("fid", 10),
    "fid/retrievalqa-triviaqa.10.jsonl": ("fid", 10),
    "fid/scholarqabench-scifact.5.jsonl": ("self-rag", 5),
    "hf-dummy/fever-v1.0/paper_dev.jsonl": ("fever", 1),
    "hf-dummy/fever-v1.0/paper_test.jsonl": ("fever", 1),
    "hf-dummy/fever-v1.0/shared_task_dev.jsonl": ("fever", 1),
    "hf-dummy/fever-v1.0/shared_task_dev_public.jsonl": ("fever", 1),
    "hf-dummy/fever-v1.0/shared_task_test.jsonl": ("fever", 1),
    "hf-dummy/fever-v1.0/train.jsonl": ("fever", 1),
    "hf-dummy/fever-wiki_pages/wiki-pages_wiki-001.jsonl": ("fever-wiki", 1),
    "hf-dummy/fever-wiki_pages/wiki-pages_wiki-002.jsonl": ("fever-wiki", 1),
    f"{MASTER}documents.csv": ("narrativeqa-documents", 3),
    f"{MASTER}qaps.csv": ("narrativeqa", 3),
    f"{MASTER}third_party_wikipedia_summaries.csv": ("narrativeqa-summaries", 3),
    f"{DUMMY}/{STORY}0025577043f5090cd603c6aea60f26e236195594.content": ("text", 1),
    f"{DUMMY}/{STORY}0029bdbe75423337b551e42bb31f9a102785376f.content": ("text", 1),
    f"{DUMMY}/{STORY}01502137e4276712d118bd4bdaf481c89aed163b.content": ("text", 1),
    "kgi/kgi_jsonl_2_lines.jsonl": ("kgi", 2),
    "kgi/kgi_jsonl_2_lines_positive_pids.jsonl": ("kgi", 2),
    "kilt/gold1.jsonl": ("kilt", 3),
    "kilt/gold2.jsonl": ("kilt", 1),
    "kilt/guess1_1.jsonl": ("kilt", 3),
    "kilt/guess2_1.jsonl": ("kilt", 1),
    "kilt/hf-fever/fever-dev-kilt.jsonl": ("kilt", 5),
    "kilt/hf-fever/fever-test_without_answers-kilt.jsonl": ("kilt", 5),
    "kilt/hf-fever/fever-train-kilt.jsonl": ("kilt", 5),
    "kilt/hf-nq/nq-dev-kilt.jsonl": ("kilt", 5),
    "kilt/hf-nq/nq-test_without_answers-kilt.jsonl": ("kilt", 5),
    "kilt/hf-nq/nq-train-kilt.jsonl": ("kilt", 5),
    "predictions/evouna-nq.50.json": ("evouna", 50),
    "pyserini/psgs_w100.50.jsonl": ("contents", 50),
    "raw/fever-paper_dev.100.jsonl": ("fever", 100),
    "raw/hover-dev.20.json": ("hover", 20),
    "raw/narrativeqa-documents.head20.csv": ("narrativeqa-documents", 20),
    "raw/nq-open-efficientqa.dev.sample.jsonl": ("nq-open", 100),
    "raw/qed-dev.20.jsonlines": ("qed", 20),
    "raw/squad-v2.0-dev.1article.json": ("squad", 59),
    "raw/triviaqa-sample.tgz": ("triviaqa-archive", 11),
    "trec/cacm-bm25.run": ("trec-run", 64),
    "trec/cacm.qrels": ("trec-qrels", 796),
    "trec/trec_eval.out.test": ("trec-eval", 30),
    "trec/trec_eval.out.test.aq": ("trec-eval", 387),
    "trec/trec_eval.qrels.test": ("trec-qrels", 3681),
    "trec/trec_eval.results.test": ("trec-run", 3),
}


@pytest.fixture
def sample(shared):
    return lambda name: shared(f"data/formats/{name}")


@pytest.mark.parametrize("name", SAMPLES)
def test_told_and_read_whole(name, sample):
    path = sample(name)
    found = detect_format(path)
    assert (found.name, sum(1 for _ in read_all(path, found.kind))) == SAMPLES[name]


def test_no_sample_is_forgotten(shared):
    folder = shared("data/formats")
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"INDEX.md"}
    assert present == set(SAMPLES)


def first(path: Path, holds: str = "questions"):
    return next(read_all(path, holds))


def test_dpr_question_files_keep_what_csv_quotes_hide(sample):
    rows = list(read_all(sample("dpr/trivia-test.qa.csv"), "questions"))
    assert rows[0].question == "Who was the man behind The Chipmunks?"
    assert rows[0].answers == ["David Seville"]
    assert all(row.answers and "\r" not in row.question for row in rows)
    assert sum(any("'" in answer for answer in row.answers) for row in rows) >= 30  # what a split at the tab breaks


def test_dpr_training_names_its_positives(sample):
    found = first(sample("dpr/biencoder-train.2.json"))
    assert found.extra["gold"] == [p.id for p in found.ctxs[: len(found.extra["gold"])]]
    assert found.ctxs[0].score == 1000
    assert found.ctxs[0].extra["title_score"] == 1


def test_pyserini_contents_are_parted_at_the_tab(sample):
    found = first(sample("pyserini/psgs_w100.50.jsonl"), "passages")
    assert (found.id, found.title) == ("15094739", "John Sawbridge")
    assert found.text.startswith("London in 1775")


def test_fever_pages_lose_their_codes(sample):
    found = first(sample("hf-dummy/fever-wiki_pages/wiki-pages_wiki-001.jsonl"), "passages")
    assert (found.id, found.title) == ("1928_in_association_football", "1928 in association football")
    assert found.extra["lines"].startswith("0\t")


def test_kilt_answers_and_pages(sample):
    found = first(sample("kilt/hf-nq/nq-dev-kilt.jsonl"))
    assert found.answers[:2] == ["the therefore sign", "therefore sign"]
    assert found.extra["gold"][0] == "10593264"
    unlabelled = first(sample("kilt/hf-nq/nq-test_without_answers-kilt.jsonl"))
    assert unlabelled.answers is None


def test_retrieved_passages_of_a_field_named_context(sample):
    found = first(sample("fid/retrievalqa-popqa.10.jsonl"))
    assert found.answers[0] == "politician"
    assert found.ctxs[0].score == 1.6985543


def test_triviaqa_from_its_archive(sample):
    found = next(q for q in read_all(sample("raw/triviaqa-sample.tgz"), "questions") if q.id == "tc_33")
    assert found.target == "Sunset Boulevard"
    assert found.answers[0] == "Sunset Blvd"


def test_squad_answers_are_distinct_and_point_to_their_paragraph(sample):
    path = sample("raw/squad-v2.0-dev.1article.json")
    paragraphs = {p.id: p for p in read_all(path, "passages", "squad-paragraphs")}
    for found in read_all(path, "questions"):
        (gold,) = found.extra["gold"]
        assert len(set(found.answers)) == len(found.answers)
        assert all(answer in paragraphs[gold].text for answer in found.answers)


def test_a_run_is_read_in_trec_eval_s_order(sample):
    found = first(sample("trec/trec_eval.results.test"))
    keys = [(passage.score, passage.id) for passage in found.ctxs]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == 500


def test_a_story_with_a_mark_of_byte_order_and_carriage_returns(sample):
    story = f"{DUMMY}/{STORY}0029bdbe75423337b551e42bb31f9a102785376f.content"
    assert first(sample(story), "passages").text.startswith("Title: Percival Keene\n")


def test_the_places_of_answers_are_kept(sample):
    squad = first(sample("raw/squad-v2.0-dev.1article.json"))
    assert [span["text"] for span in squad.extra["spans"]][:1] == squad.answers[:1]
    assert all(isinstance(span["answer_start"], int) for span in squad.extra["spans"])
    qed = first(sample("raw/qed-dev.20.jsonlines"))
    assert {span["string"] for spans in qed.extra["original_nq_answers"] for span in spans} == set(qed.answers)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz"])
def test_an_archive_that_is_not_triviaqas(name, tmp_path, capfd):
    (tmp_path / "q.jsonl").write_text('{"question": "who"}\n')
    with tarfile.open(tmp_path / name, "w" if name.endswith(".tar") else "w:gz") as archive:
        archive.add(tmp_path / "q.jsonl", "data/q.jsonl")
    for command in ("convert", "chunk"):
        assert cli.run([command, str(tmp_path / name), "-o", str(tmp_path / "out.jsonl")]) == 1
        assert "is a tar archive; unpack it, and give a file that was in it" in capfd.readouterr().err


def test_triviaqas_archive_is_known_by_its_folders(tmp_path):
    (tmp_path / "x.json").write_text('{"Data": []}')
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        archive.add(tmp_path / "x.json", "triviaqa-rc/qa/web-dev.json")
    assert detect_format(tmp_path / "x.tgz").name == "triviaqa-archive"

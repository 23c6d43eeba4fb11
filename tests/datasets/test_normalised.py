"""The data sets as they come out of published files: real ones where they are at hand, else made of real data."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import pytest

from fidtools.data.hashes import file_sha256
from fidtools.data.read import read_passages, read_questions
from fidtools.datasets import catalogue, fever, nq, squad
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.transfer import RetryPolicy
from fidtools.datasets.urls import TABLE, Download, source_table
from fidtools.datasets.writer import DatasetInfo
from fidtools.errors import DataError
from tests.datasets import published


@pytest.fixture(scope="module")
def mirror(shared, tmp_path_factory):
    """A folder with every published file, small."""
    shared("data/nq-gold")
    folder = tmp_path_factory.mktemp("mirror")
    published.write(shared("data").parent, folder)
    return folder


def made(name, mirror, tmp_path) -> tuple[DatasetInfo, dict, list]:
    """The data set from files that lie in the downloads folder already: its card, questions by split, passages."""
    sources = source_table(mirror / "sources.json")
    card = catalogue.fetch(name, tmp_path / name, Downloads(mirror), sources)
    questions = {s: list(read_questions(tmp_path / name / f"{s}.jsonl")) for s in ("train", "dev", "test")}
    [corpus] = {*(tmp_path / name).glob("passages.jsonl"), *(tmp_path / name).glob("psgs_w100.tsv")}
    return card, questions, list(read_passages(corpus))


def sizes(questions) -> tuple[int, ...]:
    return tuple(len(questions[split]) for split in ("train", "dev", "test"))


def test_nq(mirror, shared, tmp_path):
    card, questions, passages = made("nq", mirror, tmp_path)
    assert sizes(questions) == (1322, 262, 318)
    assert (card.passages, len(passages)) == (6476, 6476)
    assert (passages[0].id, passages[-1].id) == ("1", "6476")
    texts = {q.question for split in ("train", "dev") for q in questions[split]}
    assert len(texts) == 1322 + 262
    first = questions["test"][0]
    assert (first.id, first.question, first.answers) == (
        "test-0",
        "when is the next deadpool movie being released",
        ["May 18, 2018"],
    )


def test_the_test_questions_of_nq_are_the_published_file_byte_for_byte(shared):
    path = shared("data/nq-open/NQ-open.dev.jsonl")
    [source] = [source for source in TABLE if source.name == "NQ-open.dev.jsonl"]
    assert (path.stat().st_size, file_sha256(path)) == (source.size, source.sha256)
    questions = list(nq.numbered(path, "test"))
    assert len(questions) == nq.PUBLISHED["test"]
    assert (questions[0].id, questions[0].answers) == ("test-0", ["14 December 1972 UTC", "December 1972"])


def test_published_train_questions_of_nq_have_no_long_answers(shared):
    path = shared("data/nq-open/nq-train-part-8757.jsonl.gz")
    assert len(list(nq.short_answers(nq.numbered(path, "train")))) == nq.PUBLISHED["dev"] == 8757


def test_long_answers_of_nq_are_discarded(tmp_path):
    path = tmp_path / "train.jsonl"
    answers = [["one two three four five six"], ["one two three four five"], ["a b c d e f", "short"]]
    path.write_bytes(published.lines({"question": "q", "answer": a} for a in answers))
    kept = list(nq.short_answers(nq.numbered(path, "train")))
    assert [(q.id, q.answers) for q in kept] == [("train-1", ["one two three four five"]), ("train-2", ["short"])]


def test_without_the_published_index_one_in_ten_is_for_dev(mirror, tmp_path, caplog):
    downloads = Downloads(tmp_path / "downloads")
    downloads.folder.mkdir()
    for name in ("NQ-open.train.jsonl", "NQ-open.dev.jsonl", "psgs_w100.tsv.gz"):
        downloads.path(name).write_bytes((mirror / name).read_bytes())
    sources = source_table(mirror / "sources.json") | {
        "dataindex.tar.gz": Download("dataindex.tar.gz", "http://127.0.0.1:9/x", optional=True)
    }
    quick = Downloads(downloads.folder, retries=RetryPolicy(attempts=1))
    catalogue.fetch("nq", tmp_path / "nq", quick, sources)
    dev = list(read_questions(tmp_path / "nq" / "dev.jsonl"))
    assert [q.id for q in dev[:3]] == ["train-9", "train-19", "train-29"]
    assert len(dev) == (1322 + 262) // 10


def test_an_index_of_another_version_is_refused(mirror, tmp_path):
    downloads = Downloads(tmp_path)
    for name in ("NQ-open.dev.jsonl", "psgs_w100.tsv.gz", "dataindex.tar.gz"):
        downloads.path(name).write_bytes((mirror / name).read_bytes())
    downloads.path("NQ-open.train.jsonl").write_bytes(published.lines([{"question": "q", "answer": ["a"]}]))
    sources = {n: Download(n, "http://127.0.0.1:9/x") for n in nq.SOURCES}
    with pytest.raises(DataError, match="the index of NQ does not fit the 1 original train questions"):
        catalogue.fetch("nq", tmp_path / "nq", downloads, sources)
    assert not (tmp_path / "nq" / "test.jsonl").exists()


def test_triviaqa(mirror, tmp_path):
    _, questions, passages = made("triviaqa", mirror, tmp_path)
    assert sizes(questions) == (1800, 200, 2000)
    assert len(passages) == 6476
    first = questions["train"][0]
    assert (first.id, first.target, first.answers[-1]) == ("tc_1", "Alastair Cooke", "Alistair Cooke")
    assert all(q.target is not None and not q.extra for qs in questions.values() for q in qs)
    assert not any(q.target.isupper() and q.target != q.target.title() for qs in questions.values() for q in qs)


def test_entries_of_triviaqa_as_published(shared, tmp_path):
    from fidtools.datasets.triviaqa import read_split

    with tarfile.open(shared("data/formats/raw/triviaqa-sample.tgz")) as sample:
        stream = sample.extractfile("qa/web-train.json")
        assert stream is not None
        entries = json.load(stream)
    entries["Data"][1]["Answer"]["Value"] = "NEW YORK"
    archive = tmp_path / "t.tar.gz"
    archive.write_bytes(published.tar_gz({"qa/web-train.json": json.dumps(entries).encode()}))
    first, second, third = read_split(archive, "web-train.json")
    assert (first.id, first.target, first.answers) == (
        "tc_1",
        "Sinclair Lewis",
        ["(Harry) Sinclair Lewis", "Harry Sinclair Lewis", "Lewis, (Harry) Sinclair", "Grace Hegger", "Sinclair Lewis"],
    )
    assert (second.target, third.target) == ("New York", "30s")


def test_narrativeqa_has_the_passages_of_each_story(mirror, shared, tmp_path):
    card, questions, passages = made("narrativeqa", mirror, tmp_path)
    assert sizes(questions) == (7379, 1001, 1193)
    assert (len(passages), card.notes["stories"]) == (5604, 255)
    assert card.notes["questions left out, their story is unavailable"] == 4522
    ours = [(p.doc_id, p.text) for p in passages]
    cut_by_others = read_passages(shared("data/fairytaleqa/passages.jsonl.gz"))
    assert sorted(ours) == sorted((p.doc_id, p.text.replace("_", "")) for p in cut_by_others)
    stories = {p.doc_id for p in passages}
    assert all(q.doc_id in stories for qs in questions.values() for q in qs)
    assert not ({q.doc_id for q in questions["train"]} & {q.doc_id for q in questions["test"]})


def test_narrativeqa_from_summaries(mirror, tmp_path):
    _, questions, passages = made("narrativeqa-summaries", mirror, tmp_path)
    assert sizes(questions) == (3612, 472, 438)
    assert len(passages) == 928
    assert {p.title for p in passages} == {""}
    texts = [text for qs in questions.values() for q in qs for text in (q.question, *q.answers)]
    assert not any(text.isupper() for text in texts)


def test_capitals_of_narrativeqa_become_small_letters(tmp_path, mirror):
    downloads = Downloads(tmp_path)
    for name in ("narrativeqa-documents.csv", "narrativeqa-summaries.csv"):
        downloads.path(name).write_bytes((mirror / name).read_bytes())
    header = ("document_id", "set", "question", "answer1", "answer2")
    story = "014de1a8802c05ff64efa047e9290fb7fccea2b4"
    rows = [
        (story, "train", "WHO IS KRAG?", "A MAN  FROM\nEARTH", "Krag &amp; co"),
        *((story, name, "Who?", "x", "") for name in ("valid", "test")),
    ]
    downloads.path("narrativeqa-qaps.csv").write_bytes(published.table(header, rows))
    sources = {s.name: Download(s.name, s.url) for s in TABLE}
    catalogue.fetch("narrativeqa-summaries", tmp_path / "out", downloads, sources)
    [question] = read_questions(tmp_path / "out" / "train.jsonl")
    assert (question.id, question.question, question.answers) == (
        f"{story}-0",
        "who is krag?",
        ["a man from earth", "Krag & co"],
    )
    [other] = read_questions(tmp_path / "out" / "dev.jsonl")
    assert other.answers == ["x"]


def test_stories_from_their_own_addresses_leave_out_what_is_gone(site, mirror, tmp_path):
    for name in ("narrativeqa-documents.csv", "narrativeqa-qaps.csv"):
        site.files[name] = (mirror / name).read_bytes()
    with zipfile.ZipFile(mirror / "narrativeqa-stories.zip") as stories:
        for name in stories.namelist()[:100]:
            site.files[f"narrativeqa-story-{name[4:-8]}"] = stories.read(name)
    downloads = Downloads(tmp_path / "downloads", mirror=site.url)
    card = catalogue.fetch("narrativeqa-web", tmp_path / "out", downloads, source_table(mirror / "sources.json"))
    assert card.notes["stories"] == 100
    assert 0 < sum(card.questions.values()) < 7379


def test_fever(mirror, tmp_path):
    _, questions, passages = made("fever", mirror, tmp_path)
    assert sizes(questions) == (4325, 395, 394)
    pages = {p.id: p for p in passages}
    assert len(pages) == len(passages) == 698
    assert pages["Soul_Food_-LRB-film-RRB-"].title == "Soul Food (film)"
    assert not any("-LRB-" in p.text or "-RRB-" in p.title for p in passages)
    first = questions["train"][0]
    assert first.answers == ["SUPPORTS"]
    assert first.extra == {
        "label": "SUPPORTS",
        "gold": ["Soul_Food_-LRB-film-RRB-"],
        "evidence": [[[0, 0, "Soul_Food_-LRB-film-RRB-", 0]]],
    }
    assert all(page in pages for qs in questions.values() for q in qs for page in q.extra["gold"])


def test_claims_of_fever_as_published(shared):
    claims = list(fever.claims(shared("data/formats/raw/fever-paper_dev.100.jsonl")))
    assert len(claims) == 100
    unknown, telemundo = claims[0], claims[4]
    assert (unknown.answers, unknown.extra) == (
        ["NOT ENOUGH INFO"],
        {"label": "NOT ENOUGH INFO", "gold": [], "evidence": []},
    )
    assert telemundo.extra["gold"] == ["Telemundo", "Hispanic_and_Latino_Americans"]
    assert telemundo.extra["evidence"][:3] == [
        [[131371, 146144, "Telemundo", 0]],
        [[131371, 146148, "Telemundo", 1]],
        [[131371, 146150, "Telemundo", 4], [131371, 146150, "Hispanic_and_Latino_Americans", 0]],
    ]
    soul_food = claims[2]
    assert soul_food.extra["evidence"] == [[[289914, 283015, "Soul_Food_-LRB-film-RRB-", 0]]]
    [unlabelled, _] = fever.claims(shared("data/formats/hf-dummy/fever-v1.0/shared_task_test.jsonl")), None
    assert [claim.answers for claim in unlabelled] == [None]


def test_pages_of_fever_as_published_and_with_letters_composed(shared, tmp_path):
    folder = shared("data/formats/hf-dummy/fever-wiki_pages")
    files = {f"wiki-pages/wiki-00{n}.jsonl": (folder / f"wiki-pages_wiki-00{n}.jsonl").read_bytes() for n in (1, 2)}
    decomposed = {"id": "Beyonce\u0301_-COLON-_Live", "text": "Beyonce\u0301 -LSB- live -RSB- \n", "lines": ""}
    files["wiki-pages/wiki-003.jsonl"] = published.lines([decomposed])
    archive = tmp_path / "pages.zip"
    archive.write_bytes(published.zip_of(files))
    first, tennis, beyonce = fever.pages(archive)
    assert (first.id, first.title) == ("1928_in_association_football", "1928 in association football")
    assert first.text == "The following are the football ( soccer ) events of the year 1928 throughout the world ."
    assert "Jiří Novák won the singles title" in tennis.text
    assert (beyonce.id, beyonce.title, beyonce.text) == ("Beyoncé_-COLON-_Live", "Beyoncé : Live", "Beyoncé [ live ]")


def test_squad(mirror, tmp_path):
    _, questions, passages = made("squad", mirror, tmp_path)
    assert sizes(questions) == (4040, 401, 498)
    assert len(passages) == 2909
    texts = {p.id: p.text for p in passages}
    wrong = [
        q.id
        for qs in questions.values()
        for q in qs
        if not q.extra["gold_split"] and not any(answer in texts[g] for answer in q.answers for g in q.extra["gold"])
    ]
    assert wrong == []
    articles = [{q.extra["title"] for q in qs} for qs in questions.values()]
    assert [len(titles) for titles in articles] == [47, 5, 8]
    assert set.intersection(*articles[:2]) == set()


def test_gold_of_squad_by_offsets_in_a_published_article(shared):
    [article] = squad.read_articles(shared("data/formats/raw/squad-v2.0-dev.1article.json"))
    assert (article.id, len(article.paragraphs)) == ("Normans", 10)
    questions = {q.question: q for q in squad.questions(article)}
    words = article.document.text.split()
    where = questions["In what country is Normandy located?"]
    assert (where.answers, where.extra["gold"]) == (["France"], ["Normans-0"])
    for question in questions.values():
        sides = [
            " ".join(words[100 * n : 100 * n + 100]) for n in (int(g.split("-")[1]) for g in question.extra["gold"])
        ]
        held = any(answer in side for answer in question.answers for side in sides)
        assert held or question.extra["gold_split"]
        if question.extra["gold_split"]:
            assert any(answer in " ".join(sides) for answer in question.answers)
    assert len(questions) == sum(1 for p in article.paragraphs for qa in p["qas"] if qa["answers"])


def test_an_answer_across_a_border_is_split():
    words = [f"w{n}" for n in range(150)]
    text = " ".join(words)

    def entry(answer: str) -> dict:
        return {"id": answer, "question": "q", "answers": [{"text": answer, "answer_start": text.index(answer)}]}

    qas = [entry("w98 w99"), entry("w99 w100"), entry("100"), {"id": "none", "question": "q", "answers": []}]
    article = squad.Article("A_b", "A b", [{"context": text, "qas": qas}])
    found = {q.id: (q.extra["gold"], q.extra["gold_split"]) for q in squad.questions(article)}
    assert found == {
        "w98 w99": (["A_b-0"], False),
        "w99 w100": (["A_b-0", "A_b-1"], True),
        "100": (["A_b-1"], False),
    }


def test_the_card_says_where_everything_came_from(mirror, tmp_path):
    made("squad", mirror, tmp_path)
    card = json.loads((tmp_path / "squad" / "dataset.json").read_text())
    assert card["questions"] == {"train": 4040, "dev": 401, "test": 498}
    assert card["sha256"]["dev.jsonl"] == file_sha256(tmp_path / "squad" / "dev.jsonl")
    assert card["sources"]["squad-dev-v1.1.json"]["sha256"] == file_sha256(mirror / "squad-dev-v1.1.json")


def test_a_cut_table_of_passages_is_an_error(tmp_path):
    from fidtools.datasets.wikipedia import unpack

    archive, target = tmp_path / "p.tsv.gz", tmp_path / "p.tsv"
    whole = io.BytesIO(gzip.compress(b"id\ttext\ttitle\n" * 1000)).getvalue()
    archive.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"p.tsv.gz: truncated or corrupt gzip file"):
        unpack(archive, target)
    assert not target.exists()

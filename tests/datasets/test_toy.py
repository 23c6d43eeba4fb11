"""The toy world: the same bytes for a seed, no fact in two splits, one claim a passage, BM25 misled."""

import json
import re
from pathlib import Path

import pytest

from fidtools.datasets.toy import generate, write
from fidtools.datasets.toy.invented_words import VALUES
from fidtools.datasets.toy.relations import RELATIONS

SPLITS = ("train", "dev", "test")
EXAMPLE = Path(__file__).parents[2] / "examples" / "toy"


@pytest.fixture(scope="module")
def world():
    return generate(0)


@pytest.fixture
def cloze(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return pytest.importorskip("cloze")


def content_words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def test_same_seed_same_bytes(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name, seed=3)
    write(tmp_path / "other", seed=4)
    for name in ("passages", "train", "dev", "test"):
        one, two, other = ((tmp_path / run / f"{name}.jsonl").read_bytes() for run in ("one", "two", "other"))
        assert one == two != other


def test_files_hold_the_documented_fields(tmp_path):
    write(tmp_path)
    first = {path.stem: json.loads(path.open().readline()) for path in tmp_path.glob("*.jsonl")}
    assert sorted(first) == ["dev", "passages", "test", "train"]
    assert list(first["passages"]) == ["id", "title", "text"]
    assert all(list(first[split]) == ["id", "question", "answers", "gold"] for split in SPLITS)


def test_splits_ask_about_different_people(world):
    people = [{world.facts[int(q["id"][1:])].person for q in world.questions[split]} for split in SPLITS]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people))


def test_no_fact_is_asked_in_two_splits(world):
    facts = [world.facts[int(q["id"][1:])] for split in SPLITS for q in world.questions[split]]
    assert len(facts) == len({(f.person, f.relation.name, f.value) for f in facts})


def test_gold_passage_states_the_answer_and_no_other_value(world):
    values = {value.lower() for words in VALUES.values() for value in words}
    passages = {p["id"]: p for p in world.passages}
    for split in SPLITS:
        for question in world.questions[split]:
            (gold,) = (passages[i] for i in question["gold"])
            assert content_words(gold["text"]) & values == {question["answers"][0].lower()}


def test_each_passage_names_one_person(world):
    people = {fact.person for fact in world.facts}
    for fact, passage in zip(world.facts, world.passages, strict=True):
        assert [name for name in people if name in passage["text"]] == [fact.person]


def test_two_facts_of_a_person_never_share_a_value(world):
    assert len(world.facts) == len({(f.person, f.value) for f in world.facts})


def test_no_statement_speaks_in_its_questions_words():
    common = {"a", "at", "be", "as", "in", "is", "of", "on", "the", "to", "up", "e", "v"}
    for relation in RELATIONS:
        stated = content_words(" ".join(relation.statements)) - common
        asked = content_words(" ".join(relation.questions)) - common
        assert not stated & asked, relation.name


def test_most_asides_stand_beside_the_wrong_fact(world):
    hints = 0
    questions = [q for split in SPLITS for q in world.questions[split]]
    for question in questions:
        fact = world.facts[int(question["id"][1:])]
        text = world.passages[int(question["id"][1:])]["text"].lower()
        hints += text.startswith(tuple(fact.relation.asides))
    assert 0.25 < hints / len(questions) < 0.5


def test_retriever_of_question_words_is_misled(world):
    """Passages ranked by the words they share with the question, rarer words counting more, as BM25 does."""
    texts = [content_words(passage["text"]) for passage in world.passages]
    weight = {word: 1 / sum(word in text for text in texts) ** 0.5 for word in set.union(*texts)}
    first = answered = 0
    for question in world.questions["test"][:120]:
        asked = content_words(question["question"]) & weight.keys()
        scores = [sum(weight[word] for word in asked & text) for text in texts]
        ranking = sorted(range(len(texts)), key=scores.__getitem__, reverse=True)
        found = [question["answers"][0].lower() in texts[i] for i in ranking[:10]]
        first, answered = first + found[0], answered + any(found)
    assert first < 0.5 * 120 < answered


def test_checkpoints_come_from_other_worlds(cloze, world):
    seeds = {*cloze.READER_SEEDS, *cloze.RETRIEVER_SEEDS, cloze.HELD_OUT_SEED}
    assert min(seeds) > 100
    asked = {fact.person for fact in world.facts}
    for seed in seeds:
        other = cloze.generate(seed, sizes={"none": cloze.PEOPLE}, reserved=False)
        assert not asked & {fact.person for fact in other.facts}


@pytest.mark.parametrize("name", ["reader", "retriever"])
def test_tokenizers_know_every_word(name, world):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(EXAMPLE / "models" / name)
    texts = [f"title: {p['title']} context: {p['text']}" for p in world.passages]
    texts += [f"question: {q['question']}" for split in SPLITS for q in world.questions[split]]
    assert not any(tokenizer.unk_token_id in ids for ids in tokenizer(texts)["input_ids"])


def test_reader_tokenizer_gives_answers_back(world):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(EXAMPLE / "models" / "reader")
    for words in VALUES.values():
        ids = tokenizer(list(words))["input_ids"]
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == [word.lower() for word in words]


def test_checkpoints_load_and_stay_small():
    from transformers import AutoModel, AutoModelForSeq2SeqLM

    assert AutoModelForSeq2SeqLM.from_pretrained(EXAMPLE / "models" / "reader").config.model_type == "t5"
    assert AutoModel.from_pretrained(EXAMPLE / "models" / "retriever").config.model_type == "bert"
    assert sum(path.stat().st_size for path in (EXAMPLE / "models").rglob("*") if path.is_file()) < 16e6

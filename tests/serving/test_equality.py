"""The same answers as the commands give for the same questions, to the byte, however requests are batched."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest

from fidtools import cli
from fidtools.serving.opening import open_searcher
from fidtools.serving.searchers import Lookup
from fidtools.serving.worker import Worker
from tests.serving.conftest import READER, Served


def ranked(questions) -> list[bytes]:
    """Ids and scores, as bytes."""
    return [orjson.dumps([[p["id"], p["score"], p["scores"]] for p in question["ctxs"]]) for question in questions]


@pytest.fixture(scope="module")
def commands(world):
    """The lines of the commands for a file of questions, with `k` passages each."""
    questions = str(world.folder / "questions.jsonl")

    def fused(k: int):
        for name, arguments in (("bm25", ["-p", world.passages]), ("retrieve", [*world.dense, *FLOAT32])):
            assert cli.run([name, questions, *arguments, "-o", str(world.folder / f"{name}.jsonl"), "-q"]) == 0
        return world.run("fuse", str(world.folder / "bm25.jsonl"), str(world.folder / "retrieve.jsonl"), "-k", str(k))

    def faiss(k: int):
        pytest.importorskip("faiss")
        assert cli.run(["index", str(world.folder / "p.npy"), "-o", str(world.folder / "faiss"), "-q"]) == 0
        return world.run("retrieve", questions, *world.indexed, *FLOAT32, "-k", str(k))

    return {
        "bm25": lambda k: world.run("bm25", questions, "-p", world.passages, "-k", str(k)),
        "embeddings": lambda k: world.run("retrieve", questions, *world.dense, *FLOAT32, "-k", str(k)),
        "index": faiss,
        "bm25 embeddings": fused,
    }


FLOAT32 = ("--precision", "float32")


@pytest.mark.parametrize("kind", ["bm25", "embeddings", "index", "bm25 embeddings"])
def test_a_request_among_others_gets_what_the_command_writes(kind, world, commands):
    expected = {k: ranked(commands[kind](k)) for k in (3, 20)}
    searcher = open_searcher(world.sources(**dict.fromkeys(kind.split(), True)))
    lookups = [Lookup(world.questions, 3), Lookup(["another question"], 50), Lookup(world.questions, 20)]
    small, other, large = searcher.rank(lookups)
    assert ranked(question.to_json() for question in small) == expected[3]
    assert ranked(question.to_json() for question in large) == expected[20]
    assert len(other) == 1


def test_retrieve_has_the_form_of_search_r1(world, served, commands):
    lines = commands["bm25 embeddings"](2)
    answer = served.post("/retrieve", queries=world.questions, topk=2, return_scores=True)
    assert answer.status == 200
    assert answer.json == {
        "result": [
            [
                {
                    "document": {
                        "id": p["id"],
                        "title": p["title"],
                        "text": p["text"],
                        "contents": f'"{p["title"]}"\n{p["text"]}',
                    },
                    "score": p["score"],
                }
                for p in line["ctxs"]
            ]
            for line in lines
        ]
    }
    plain = served.post("/retrieve", queries=world.questions, topk=2, return_scores=False)
    assert plain.json["result"] == [[item["document"] for item in found] for found in answer.json["result"]]


def test_topk_is_3_unless_given_and_blank_questions_find_nothing(world, served):
    for nothing in ({}, {"topk": None}, {"topk": 0}):
        answer = served.post("/retrieve", queries=["", world.questions[0], " \n"], **nothing)
        assert [len(found) for found in answer.json["result"]] == [0, 3, 0]


def test_the_usual_topk_is_within_max_k(world, served):
    limits = replace(served.policy.limits, k=2)
    with Served(Worker(served.worker.searcher, None, limits), replace(served.policy, limits=limits)) as limited:
        assert [len(found) for found in limited.post("/retrieve", queries=world.questions[:1]).json["result"]] == [2]
        assert len(limited.post("/search", question=world.questions[0], read=False, topk=None).json["passages"]) == 2
        schemas = limited.send("GET", "/openapi.json").json["paths"]
    body = schemas["/retrieve"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["topk"]["default"] == 2


def test_read_answers_as_the_command_does(world, served, commands):
    commands["bm25 embeddings"](10)
    lines = world.run("read", str(world.folder / "out-fuse.jsonl"), "--reader", READER, *FLOAT32)
    answer = served.post("/read", queries=world.questions, topk=10)
    assert answer.status == 200
    found = answer.json["result"]
    assert [(one["answer"], one["log_probability"]) for one in found] == [
        (line["prediction"], line["log_probability"]) for line in lines
    ]
    for one, line in zip(found, lines, strict=True):
        assert [passage["document"]["id"] for passage in one["passages"]] == [p["id"] for p in line["ctxs"]]
        assert sum(passage["attention_share"] for passage in one["passages"]) == pytest.approx(1, abs=1e-3)
        assert all(
            passage["has_answer"] == (one["answer"] in passage["document"]["text"].lower())
            for passage in one["passages"]
        )
    assert any(passage["has_answer"] for one in found for passage in one["passages"])


def test_32_clients_at_once_get_the_answers_that_one_gets_alone(world, served):
    asked = list(itertools.islice(itertools.cycle(world.questions), 96))
    alone = {question: served.post("/retrieve", queries=[question], return_scores=True) for question in set(asked)}

    def ask(question: str):
        return served.post("/retrieve", queries=[question], return_scores=True)

    with ThreadPoolExecutor(32) as clients:
        together = list(clients.map(ask, asked))
    assert [answer.body for answer in together] == [alone[question].body for question in asked]

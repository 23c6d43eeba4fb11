"""The data behind a page: small blocks, each text once, no more than fits."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files

import pytest

from fidtools.data.words import UNSPACED
from fidtools.evaluation.registry import MetricSettings
from fidtools.report.blocks import pack, unpack, write_assets
from fidtools.report.numbers import outcomes
from fidtools.report.outcomes import judged
from fidtools.report.question_blocks import ANSWER, question_blocks
from fidtools.report.sources import find_sources
from fidtools.report.systems import Texts, measure_system


@pytest.fixture
def measured(run_folder):
    texts = Texts()
    sources = find_sources([run_folder], "test")
    return [measure_system(source, texts, MetricSettings(), 20) for source in sources.systems], texts


def views_and_outcomes(systems):
    views = [judged(system, "EM") for system in systems]
    return views, outcomes(views)


def unpacked(systems, texts):
    blocks = question_blocks(systems, texts, *views_and_outcomes(systems), "EM")
    return {block.name: unpack(block) for block in blocks}


def test_a_block_is_the_same_every_time_and_comes_back():
    value = {"a": [1, "</script>"]}
    block = pack("x0", value, b"\n\x00\xff")
    assert block == pack("x0", value, b"\n\x00\xff")
    assert unpack(block) == value
    assert gzip.decompress(block.data).partition(b"\n")[2] == b"\n\x00\xff"
    assert block.size == len(block.text)
    assert "<" not in block.text


def test_the_index_and_the_passages_of_a_question(measured):
    systems, texts = measured
    blocks = {
        block.name: unpack(block) for block in question_blocks(systems, texts, *views_and_outcomes(systems), "EM")
    }
    assert sorted(blocks) == ["i0", "q0", "t0"]
    index = blocks["i0"]
    assert index["outcomes"] == {"0-1": "=PRGp."}
    assert index["systems"][0]["ranks"] == [1, 2, 1, None, None, None]
    assert index["systems"][0]["values"] == [100, 100, 100, 100, 0, 0]
    assert index["systems"][1]["predictions"][1] == "Rome"
    lost = blocks["q0"]["1"]
    assert lost["words"] == [["paris"]]
    assert lost["reasons"] == {
        "0-1": "The first passage with an answer fell from rank 2 to rank 3; the reader reads only the first 2.",
        "1-0": "The first passage with an answer rose from rank 3 to rank 2; the reader reads only the first 2.",
    }
    assert blocks["q0"]["0"]["reasons"] == {}
    assert blocks["q0"]["2"]["reasons"]["1-0"] == (
        "An answer stood at rank 2 already (now: rank 1), but the reader gave another answer."
    )
    assert [passage[1] for passage in lost["systems"][0]] == [0, ANSWER, 0]
    number, _, scores = lost["systems"][1][0]
    assert blocks["t0"][number][0] == "lost-passages-1"
    assert scores == {"bm25": 9.0}


def test_every_text_is_there_once_and_the_most_telling_questions_come_first(measured):
    systems, texts = measured
    blocks = {
        block.name: unpack(block) for block in question_blocks(systems, texts, *views_and_outcomes(systems), "EM")
    }
    entries = [tuple(entry) for entry in blocks["t0"]]
    assert len(entries) == len(set(entries)) == len(texts.entries)
    assert entries[0][0] == "lost-passages-1"


def test_beyond_the_budget_questions_keep_their_row_without_passages(measured, monkeypatch):
    systems, texts = measured
    monkeypatch.setattr("fidtools.report.question_blocks.QUESTIONS_PER_BLOCK", 2)
    blocks = question_blocks(systems, texts, *views_and_outcomes(systems), "EM", budget=1)
    index = unpack(blocks[0])
    assert index["where"] == [-1, 0, 0, -1, -1, -1]
    assert len(index["questions"]) == 6
    assert [block.name for block in blocks] == ["i0", "q0", "t0"]


def test_assets_do_not_replace_a_folder_of_other_files(tmp_path):
    write_assets(tmp_path / "assets", [pack("i0", {})])
    write_assets(tmp_path / "assets", [pack("i0", {}), pack("q0", {})])
    assert sorted(path.name for path in (tmp_path / "assets").iterdir()) == ["i0.js", "q0.js"]
    (tmp_path / "assets" / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError):
        write_assets(tmp_path / "assets", [pack("i0", {})])
    assert (tmp_path / "assets" / "thesis.txt").read_text() == "precious"


def test_the_page_knows_the_scripts_without_spaces_that_the_answer_match_knows():
    page = files("fidtools.report").joinpath("template/passages.js").read_text(encoding="utf-8")
    (listed,) = re.findall(r'const UNSPACED = "\[(.*)\]"', page)
    ranges = re.sub(r"\\\\u(?:\{(\w+)\}|(\w{4}))", lambda code: chr(int(code[1] or code[2], 16)), listed)
    assert ranges == UNSPACED

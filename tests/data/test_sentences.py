"""Ends of sentences, and passages that end there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidtools import cli
from fidtools.compute.token_spans import load_cutter
from fidtools.data.chunking import chunk, chunk_by, single_blanks
from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.data.sentences import PARAGRAPH, sentence_ends
from tests.commands.test_bad_input import RETRIEVER


def sentences(text: str) -> list[str]:
    return [text[start:end].strip() for start, end in pairwise([0, *sorted(sentence_ends(text))])]


@pytest.mark.parametrize(
    "parts",
    [
        ["One two.", "Three four!", "Five?", "Six…", "Seven"],
        ["Dr. Smith met J. R. Jones at 3 p.m. in the U.S. Senate.", "It was late."],
        ["See e.g. Fig. 3, cf. p. 12, etc. and more.", "It costs 3.5 million.", "In 1901.", "Then…"],
        ["He asked “why?” and left.", "“Because.”", "(So it was.)", "End."],
        ["Am 3. Mai kam z. B. Herr Dr. Müller.", "Er blieb bis ca. 5 Uhr usw. und ging."],
        ["M. Dupont est là.", "Mme. Curie aussi !", "Vraiment ?", "Oui."],
        ["北京是首都。", "你好吗？", "“很好！”", "他说「对。」", "再见"],
        ["東京は首都です。", "人口は？", "多い"],
        ["هل أنت بخير؟", "نعم."],
        ["यह एक वाक्य है।", "दूसरा"],
        ["A heading" + PARAGRAPH, "Text after it.", "More"],
        ["A line\nthat goes on\n\n", "A new paragraph"],
        ["Visit example.com or version 2.0 now.", "Good."],
    ],
    ids=lambda parts: parts[0][:20],
)
def test_sentences(parts):
    spaced = any(character.isspace() for part in parts for character in part) and "。" not in "".join(parts)
    assert sentences((" " if spaced else "").join(parts)) == [part.strip() for part in parts]


def texts(text: str, words: int) -> list[str]:
    return [passage.text for passage in chunk([Passage("d", text)], words, sentences=True)]


def test_passages_end_at_the_last_sentence_that_fits():
    assert texts("One two. Three four five. Six. Seven eight nine ten eleven twelve thirteen. Last", 6) == [
        "One two. Three four five. Six.",
        "Seven eight nine ten eleven twelve",
        "thirteen. Last",
    ]
    assert texts("One two. Three four five.", 100) == ["One two. Three four five."]
    assert texts("北京是首都。你好吗？很好！", 9) == ["北京是首都。你好吗？", "很好！"]


def test_a_sentence_ends_before_the_opening_quote_of_the_next():
    text = "天气很好。“走吧。”他说。「好」（笑）"
    assert texts(text, 6) == ["天气很好。", "“走吧。”他说。", "「好」（笑）"]
    cut = load_cutter(RETRIEVER, 9, sentences=True)
    assert next(passage.text for passage in chunk_by([Passage("d", text)], cut)) == "天气很好。"


@given(st.text("ab .!\n", max_size=80), st.integers(1, 9))
def test_every_word_is_in_exactly_one_passage(text, words):
    found = texts(text, words)
    assert " ".join(found).split() == text.split()
    assert all(0 < len(passage.split()) <= words for passage in found)


def test_passages_of_tokens_end_there_too():
    text = "Ada was born in Borvik. She moved to Aros later.\n\nA heading\n\nThe end of it all is near"
    cut = load_cutter(RETRIEVER, 14, sentences=True)
    found = [passage.text for passage in chunk_by(single_blanks([Passage("d", text)], True), cut)]
    assert " ".join(found).split() == text.split()
    assert all(len(cut.tokenizer(passage)["input_ids"]) <= 14 for passage in found)
    inner = sentence_ends(text) & {text.index(passage[-10:]) + 10 for passage in found[:-1] if passage[-10:] in text}
    assert len(found) > 1
    assert inner


def test_the_command(tmp_path: Path, capsys):
    (tmp_path / "a.txt").write_text("One two. Three four.\n\nFive six seven.")
    assert cli.run(["chunk", str(tmp_path), "--sentences", "--words", "5", "-o", str(tmp_path / "p.jsonl"), "-q"]) == 0
    assert [p.text for p in read_passages(tmp_path / "p.jsonl")] == ["One two. Three four.", "Five six seven."]
    assert cli.run(["chunk", str(tmp_path), "--sentences", "--stride", "2"]) == 2
    assert "--stride does not apply to --sentences" in capsys.readouterr().err

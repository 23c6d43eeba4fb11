"""Attention maps agree with the scores of the reader they are drawn from."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from fidtools.data.records import Passage, Question
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.reader_folder import load_reader
from fidtools.report.attention_maps import attention_block, weight_bytes
from fidtools.report.blocks import unpack
from tests.toy_models import READER


@pytest.fixture(scope="module")
def reader():
    return load_reader(READER)


@pytest.fixture
def asked() -> Question:
    texts = ["Ada Frost cooks oysters.", "The cradle of Ada Frost stood in Borvik. It was in the paper."]
    return Question(
        "q", "Where was Ada Frost born?", ctxs=[Passage(str(n), text, "Diary") for n, text in enumerate(texts)]
    )


def test_a_passages_mean_score_is_the_teachers(reader, asked):
    block = attention_block(reader, asked, "a0-0", 2)
    found = unpack(block)
    expected = attention_scores(reader, [asked])[0]["attention"]
    assert [np.mean(scores) for scores in found["scores"]] == pytest.approx(expected, abs=2e-3)
    assert sum(found["shares"]) == pytest.approx(1.0, abs=1e-4)
    assert (found["layers"], found["heads"], found["read"]) == (2, 4, 2)


def test_tokens_spell_the_input_and_weights_have_one_byte_each(reader, asked):
    block = attention_block(reader, asked, "a0-0", 1)
    found = unpack(block)
    (tokens,) = found["tokens"]
    assert "".join(tokens) == "question: Where was Ada Frost born? title: Diary context: Ada Frost cooks oysters."
    weights = gzip.decompress(block.data).partition(b"\n")[2]
    assert len(weights) == len(tokens) * 2 * 4
    assert len(found["shares"]) == 2


def test_bytes_of_weights():
    weights = np.array([1.0, np.exp(-1.0), 2e-4, 9e-5, 0.0], dtype=np.float32)
    assert weight_bytes(weights).tolist() == [255, 239, 119, 0, 0]

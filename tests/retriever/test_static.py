"""Static embeddings: token vectors averaged, the same in sentence-transformers, trained and loaded from either side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from fidtools.cli import cli, run
from fidtools.compute.device import Compute
from fidtools.data.records import Passage
from fidtools.encoders.static_encoder import StaticEncoder, new_static_encoder
from fidtools.encoders.word_tokenizer import split_words
from fidtools.retriever.encoding import Retriever, load_retriever
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower
from tests.models import WORDS
from tests.retriever.test_sentence_folders import QUESTIONS, VOCABULARY, assert_equal_vectors, tokenizer
from tests.retriever.test_training import EXACT, SMALL, different

Write = Callable[..., Path]
library = pytest.importorskip("sentence_transformers")
from sentence_transformers.sentence_transformer import modules as st  # noqa: E402

STATIC = ["--student", "static", "--word-dim", "8", "--lr", "1e-2"]


def fit(train: Path, output: Path, *options: str) -> None:
    arguments = ["train-retriever", str(train), "-o", str(output), *SMALL, *EXACT, *options]
    CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "0_StaticEmbedding" / "model.safetensors")


def test_a_vector_is_the_mean_of_the_tokens_vectors() -> None:
    vectors = torch.tensor([[9.0, 9.0], [1.0, 2.0], [3.0, 6.0]])
    encoder, words = new_static_encoder(["river", "sea"], vectors)
    ids, lost = words.tokenize(["(River), sea!", "lake", "...", "sea sea river"], 2)
    assert (ids, lost) == ([[1, 2], [0], [-1], [2, 2]], [1])
    padded, mask = torch.tensor([[1, 2], [0, -1], [-1, -1], [2, 2]]), torch.tensor([[1, 1], [1, 0], [1, 0], [1, 1]])
    assert encoder(padded, mask).tolist() == [[2, 4], [9, 9], [0, 0], [3, 6]]


def test_words_are_split_as_for_other_students() -> None:
    texts = ["The (well-known) U.S. river -- 'Po' -- isn't 100% dry!", "a  b\tc\nd", "x...y ...z..."]
    words = sorted({word for text in texts for word in split_words(text)})
    _, made = new_static_encoder(words, torch.zeros(len(words) + 1, 2))
    for text in texts:
        assert [words[i - 1] for i in made.tokenize([text], 100)[0][0]] == split_words(text)


def test_passages_of_no_known_word_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder, words = new_static_encoder(["river"], torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    (tmp_path / "r").mkdir()
    settings = RetrieverSettings(pooling="mean", passage_format="{text}", question_format="{question}")
    Retriever(Tower(encoder.eval(), words, settings)).save(tmp_path / "r")
    (tmp_path / "p.jsonl").write_bytes(
        b"".join(orjson.dumps({"id": text, "text": text}) + b"\n" for text in ("river", "lake", "sea"))
    )
    arguments = ["embed", tmp_path / "p.jsonl", "--retriever", tmp_path / "r", "-o", tmp_path / "p.npy", "-q"]
    assert run([*map(str, arguments)]) == 0
    assert np.load(tmp_path / "p.npy").tolist() == [[1, 2], [0, 0], [0, 0]]
    assert f"{tmp_path / 'p.npy'}: texts with a vector of zeros: 2\n" in capsys.readouterr().err


def test_a_new_student_learns_and_sentence_transformers_loads_it(questions: Write, tmp_path: Path) -> None:
    train = questions(count=20)
    fit(train, tmp_path / "r", "--dev", str(train), *STATIC, "--steps", "60", "--lr", "5e-2")
    log = [orjson.loads(line) for line in (tmp_path / "r" / "log.jsonl").read_bytes().splitlines()]
    losses = [line["overlap@1"] for line in log if "overlap@1" in line]
    assert losses[-1] > losses[0] + 0.1
    retriever = load_retriever(tmp_path / "r")
    assert (retriever.dim, retriever.settings.pooling) == (8, "mean")
    assert_equal_vectors(tmp_path / "r", retriever)
    unknown = retriever.encode_questions(["", "...", "neverseen"])
    assert np.array_equal(unknown[:2], np.zeros((2, 8)))
    kinds = [module["type"] for module in orjson.loads((tmp_path / "r" / "modules.json").read_bytes())]
    assert kinds == ["sentence_transformers.models.StaticEmbedding"]


@pytest.mark.parametrize("folded", [False, True])
def test_a_static_model_of_sentence_transformers_or_model2vec_goes_on_training(
    questions: Write, tmp_path: Path, folded: bool
) -> None:
    torch.manual_seed(0)
    words = tokenizer(end="</s>").backend_tokenizer  # whose special tokens are not used
    first = st.StaticEmbedding(words, embedding_weights=torch.randn(len(VOCABULARY), 12))
    parts = [first, st.Dense(12, 6), st.Normalize()]
    prompts = {"query": "w50: ", "document": "w51: "}
    library.SentenceTransformer(modules=parts, prompts=prompts, device="cpu").save(str(tmp_path / "st"))
    if folded:  # as model2vec stores a quantized vocabulary
        own = {"embeddings": torch.randn(5, 12), "mapping": torch.arange(len(VOCABULARY)) % 5}
        save_file(own | {"weights": torch.rand(len(VOCABULARY))}, tmp_path / "st" / "model.safetensors")
    before = load_retriever(tmp_path / "st")
    assert before.settings.question_format == "w50: {question}"
    assert_equal_vectors(tmp_path / "st", before)
    fit(questions(), tmp_path / "r", "--retriever", str(tmp_path / "st"), "--lr", "1e-2")
    after = load_retriever(tmp_path / "r")
    assert_equal_vectors(tmp_path / "r", after)
    assert after.settings == before.settings
    assert np.abs(after.encode_questions(QUESTIONS) - before.encode_questions(QUESTIONS)).max() > 1e-3


def test_a_limit_is_kept_in_the_tokenizer(questions: Write, tmp_path: Path) -> None:
    fit(questions(), tmp_path / "r", *STATIC, "--passage-maxlength", "2", "--question-maxlength", "2")
    retriever = load_retriever(tmp_path / "r")
    assert retriever.tokenize_passages([Passage("1", "w1 w2 w3")]) == retriever.tokenize_passages(
        [Passage("1", "w1 w2")]
    )
    assert_equal_vectors(tmp_path / "r", retriever)
    model = library.SentenceTransformer(str(tmp_path / "r"), device="cpu")
    model.save(str(tmp_path / "again"))  # and read back from what that library writes
    assert np.array_equal(load_retriever(tmp_path / "again").encode_questions(QUESTIONS), model.encode(QUESTIONS))


def test_it_is_continued_and_resumed_and_the_same_on_two_threads(questions: Write, tmp_path: Path) -> None:
    train = questions(count=30)
    fit(train, tmp_path / "a", *STATIC)
    torch.set_num_threads(2)
    try:
        fit(train, tmp_path / "b", *STATIC)
    finally:
        torch.set_num_threads(1)
    assert different(tensors(tmp_path / "a"), tensors(tmp_path / "b")) == []
    fit(train, tmp_path / "b", *STATIC, "--resume")  # finished: nothing to do
    fit(train, tmp_path / "c", "--retriever", str(tmp_path / "a"), "--freeze-passages")
    assert different(tensors(tmp_path / "a"), tensors(tmp_path / "c" / "passages")) == []
    assert different(tensors(tmp_path / "a"), tensors(tmp_path / "c")) == ["embedding.weight"]


def test_bf16_does_not_round_them(questions: Write, tmp_path: Path) -> None:
    fit(questions(), tmp_path / "r", *STATIC)
    exact, fast = (load_retriever(tmp_path / "r", compute=Compute.choose(p)) for p in ("float32", "bf16"))  # type: ignore[arg-type]
    assert np.array_equal(exact.encode_questions(QUESTIONS), fast.encode_questions(QUESTIONS))
    assert isinstance(exact.question_tower.encoder, StaticEncoder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pooling", "max"], "--pooling max does not apply to static embeddings"),
        (["--dropout", "0.1"], "--dropout does not apply to static embeddings"),
        (["--lora", "2"], "--lora only applies to an initial model"),
        (["--freeze-words", "--word-vectors", "VECTORS"], "--freeze-words leaves nothing to train"),
        (["--question-prompt", "query"], "--question-prompt only applies to an initial model"),
    ],
)
def test_options_that_do_not_apply_are_refused(
    questions: Write, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = tmp_path / "v.txt"
    vectors.write_text("".join(f"{word} 1 2\n" for word in WORDS))
    options = [option.replace("VECTORS", str(vectors)) for option in options]
    assert run(["train-retriever", str(questions()), "-o", str(tmp_path / "r"), "--student", "static", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json in it"),
        (lambda folder: save_file({"x": torch.zeros(2)}, folder / "model.safetensors"), "no token vectors in it"),
        (
            lambda folder: save_file({"embedding.weight": torch.zeros(3, 2)}, folder / "model.safetensors"),
            "tokens, the model 3 vectors",
        ),
        (
            lambda folder: save_file(
                {"embedding.weight": torch.full((99, 2), torch.nan)}, folder / "model.safetensors"
            ),
            "token vectors that are infinite or not numbers",
        ),
        (lambda folder: (folder.parent / "modules.json").write_text("[]"), "no static embedding in it"),
    ],
)
def test_damaged_folders_say_why(
    questions: Write, tmp_path: Path, break_it: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(questions(), tmp_path / "r", *STATIC)
    break_it(tmp_path / "r" / "0_StaticEmbedding")
    passages = tmp_path / "p.jsonl"
    passages.write_text('{"id": "1", "text": "w1"}\n')
    assert run(["embed", str(passages), "--retriever", str(tmp_path / "r"), "-o", str(tmp_path / "p.npy")]) == 1
    assert message in " ".join(capsys.readouterr().err.split())

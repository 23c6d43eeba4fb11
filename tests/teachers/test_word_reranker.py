"""Rerankers that answer with one of two words, or have one logit, equal a slow loop over one pair at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch

from fidtools.cli import run
from fidtools.compute.device import Compute
from fidtools.data.read import read_questions
from fidtools.errors import UsageError
from fidtools.teachers.objective import score_pairs
from fidtools.teachers.teacher_folder import load_teacher
from fidtools.teachers.word_reranker import RerankerPrompt, answers_with_words, load_word_reranker
from tests.models import CAUSAL_FAMILIES, WORDS, tiny_causal_model, word_tokenizer
from tests.models import VOCABULARY as WORD_VOCABULARY

Write = Callable[..., Path]
TEXT = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the "
    'answer can only be "yes" or "no". system user assistant Instruct Query Document Given a web search query, retrieve'
)
PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
PAIRS = [("w1 w2", "w3 w1"), ("w5", "w2 w2 w2 w7 w8 w9 w10 w11"), ("w1 w2", ""), ("who?", "w4")]


@pytest.fixture(scope="session")
def chat_tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    trained.train_from_iterator([TEXT, *[f"{word} yes no" for word in WORDS]], vocab_size=500, special_tokens=special)
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<|im_end|>", pad_token=special[0])


@pytest.fixture(scope="session", params=CAUSAL_FAMILIES)
def reranker(request: pytest.FixtureRequest, chat_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reranker") / str(request.param)
    tiny_causal_model(request.param, len(chat_tokenizer)).save_pretrained(folder)
    chat_tokenizer.save_pretrained(folder)
    return folder


def slow_probability(folder: Path, question: str, passage: str, instruction: str | None = None) -> float:
    """P(yes) of one pair, step by step as in Qwen3-Reranker's model card: three pieces of tokens, all logits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    task = instruction or "Given a web search query, retrieve relevant passages that answer the query"
    middle = f"<Instruct>: {task}\n<Query>: {question}\n<Document>: {passage}"
    ids = [
        token for part in (PREFIX, middle, SUFFIX) for token in tokenizer(part, add_special_tokens=False)["input_ids"]
    ]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double()
    both = torch.stack([logits[tokenizer.convert_tokens_to_ids(word)] for word in ("no", "yes")])
    return float(both.log_softmax(-1)[1].exp())


def probabilities(scores: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(scores, dtype=np.float64)))


@pytest.mark.parametrize("budget", [1, 300, 100_000])
def test_every_family_equals_one_pair_at_a_time(reranker: Path, budget: int) -> None:
    loaded = load_word_reranker(reranker, RerankerPrompt())
    found = score_pairs(loaded, *map(list, zip(*PAIRS, strict=True)), budget)  # type: ignore[arg-type]
    expected = [slow_probability(reranker, question, passage) for question, passage in PAIRS]
    np.testing.assert_allclose(probabilities(found), expected, atol=1e-5)
    assert len({round(value, 3) for value in expected}) > 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizers_padding_side_changes_nothing(reranker: Path, side: str) -> None:
    loaded = load_word_reranker(reranker, RerankerPrompt())
    pairs = list(map(list, zip(*PAIRS, strict=True)))
    before = score_pairs(loaded, *pairs, 100_000)
    loaded.tokenizer.padding_side = side
    assert np.array_equal(score_pairs(loaded, *pairs, 100_000), before)


def test_scores_are_not_rounded_in_bf16(reranker: Path) -> None:
    loaded = load_word_reranker(reranker, RerankerPrompt(), compute=Compute.choose("bf16"))
    passages = [f"w{i} w{j}" for i in range(10) for j in range(10)]
    assert len(np.unique(score_pairs(loaded, ["w1"] * 100, passages, 20_000))) > 60


def test_passages_are_cut_but_never_the_question_or_the_end(reranker: Path) -> None:
    loaded = load_word_reranker(reranker, RerankerPrompt(), maxlength=200)
    ((ids, _),) = loaded.tokenize(["w1 w2"], ["w3 " * 300])
    text = loaded.tokenizer.decode(ids)
    assert 190 < len(ids) <= 200
    assert text.startswith("<|im_start|>system")
    assert "<Query>: w1 w2\n<Document>: w3 w3" in text
    assert text.endswith(SUFFIX)
    assert loaded.cuts.kinds["passages"].cut == 1
    with pytest.raises(UsageError, match=r"a question and its prompt take \d+ tokens, more than 200: w1"):
        loaded.tokenize(["w1 " * 200], ["w3"])


def test_words_template_and_instruction_are_settable(reranker: Path) -> None:
    template = "{question} | {passage} | {instruction}:"
    loaded = load_word_reranker(reranker, RerankerPrompt(template, "relevant", ("no", "yes")))
    ((ids, _),) = loaded.tokenize(["w1"], ["w2"])
    assert loaded.tokenizer.decode(ids) == "w1 | w2 | relevant:"
    swapped = load_word_reranker(reranker, RerankerPrompt(template, "relevant"))
    scores = [score_pairs(each, ["w1"], ["w2"], 100)[0] for each in (loaded, swapped)]
    assert scores[0] == pytest.approx(-scores[1], abs=1e-5)
    assert abs(scores[0]) > 1e-3
    with pytest.raises(UsageError, match=r"--words: 'relevant enough' is \d+ tokens"):
        load_word_reranker(reranker, RerankerPrompt(words=("relevant enough", "no")))


def test_the_command_scores_and_sorts(reranker: Path, questions: Write, tmp_path: Path) -> None:
    path, out = questions(count=2), tmp_path / "scored.jsonl"
    arguments = ["score-cross", str(path), "--teacher", str(reranker), "-o", str(out), "--precision", "float32"]
    assert run([*arguments, "--instruction", "find w1", "--n-passages", "4"]) == 0
    for question in read_questions(out):
        scored = (question.ctxs or [])[:4]
        found = [passage.scores["cross"] for passage in scored]
        assert found == sorted(found, reverse=True)
        expected = [slow_probability(reranker, question.question, f"{p.title} {p.text}", "find w1") for p in scored]
        np.testing.assert_allclose(probabilities(found), expected, atol=1e-5)
        assert all(passage.score is None for passage in (question.ctxs or [])[4:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--words", "yes"], "expected two different words"),
        (["--words", "yes,yes"], "expected two different words"),
        (["--prompt", "{question} {passage}", "--instruction", "find"], "--prompt has no {instruction}"),
        (["--prompt", "{question}"], "the field {passage} is missing"),
        (["--prompt", "{question} {passage} {text}"], "unknown field {text}"),
    ],
)
def test_bad_prompts_are_refused(
    reranker: Path, questions: Write, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score-cross", str(questions(count=1)), "--teacher", str(reranker), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [("w1,w2", ""), ("yes,w2", "'yes' is no word of this model's tokenizer"), ("w1,W1", "both are one token")],
)
def test_words_that_the_model_cannot_tell_apart_are_refused(
    words: str, message: str, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenizers import normalizers

    tokenizer = word_tokenizer(WORD_VOCABULARY)
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save_pretrained(tmp_path / "model")
    tiny_causal_model("llama", len(WORD_VOCABULARY), pad_token_id=0, eos_token_id=1, bos_token_id=2).save_pretrained(
        tmp_path / "model"
    )
    command = ["score-cross", str(questions(count=1)), "--teacher", str(tmp_path / "model"), "--words", words, "-q"]
    assert run([*command, "-o", str(tmp_path / "out.jsonl")]) == (2 if message else 0)
    assert message in capsys.readouterr().err


@pytest.fixture(scope="session")
def one_logit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reranker of bge-reranker's form: an XLM-RoBERTa with a head of one logit."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    folder = tmp_path_factory.mktemp("bge") / "reranker"
    vocabulary = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", model_input_names=["input_ids", "attention_mask"], **names
    ).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=66,
        pad_token_id=1,
        num_labels=1,
        initializer_range=0.3,
        **sizes,
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("side", ["left", "right"])
def test_rerankers_with_one_logit_equal_one_pair_at_a_time(one_logit: Path, side: str) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert not answers_with_words(one_logit)
    loaded = load_teacher(one_logit, maxlength=60)
    loaded.tokenizer.padding_side = side  # type: ignore[attr-defined]
    found = score_pairs(loaded, *map(list, zip(*PAIRS, strict=True)), 1000)  # type: ignore[arg-type]
    tokenizer = AutoTokenizer.from_pretrained(one_logit)
    model = AutoModelForSequenceClassification.from_pretrained(one_logit).eval()
    for score, (question, passage) in zip(found, PAIRS, strict=True):
        with torch.no_grad():
            expected = model(**tokenizer([question], [passage], return_tensors="pt")).logits[0, 0]
        assert score == pytest.approx(expected.item(), abs=1e-5)
    assert len(np.unique(found)) == len(PAIRS)


def test_words_are_not_for_classifiers(
    one_logit: Path, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["score-cross", str(questions(count=1)), "--teacher", str(one_logit)]
    assert run([*arguments, "--words", "yes,no"]) == 2
    assert "are for causal language models" in capsys.readouterr().err
    assert run([*arguments, "-o", str(tmp_path / "scored.jsonl")]) == 0
    assert "cross" in orjson.loads((tmp_path / "scored.jsonl").read_bytes())["ctxs"][0]["scores"]

"""Folders that sentence-transformers wrote train here and come back with the same modules and the same vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tokenizers import processors

from fidtools.cli import cli, run
from fidtools.data.records import Passage
from fidtools.encoders.pooling import POOLINGS, pool
from fidtools.retriever.encoding import Retriever, load_retriever
from tests.models import SPECIAL, WORDS, word_tokenizer

Write = Callable[..., Path]
library = pytest.importorskip("sentence_transformers")
from sentence_transformers.sentence_transformer import modules as st  # noqa: E402

QUESTIONS = ["w1 w2", "w3", "w4 w5 w6 w7 unknown w8", "w9 " * 30]
TEXTS = ["w9 w1 w2", "w5", "w6 w7 w8 " * 5, "w1 " * 40]
INSTRUCTION = "Instruct: w50 w51 w52\nQuery:"
IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
CAUSAL = {**SIZES, **IDS, "num_key_value_heads": 2, "head_dim": 4, "initializer_range": 0.3}
VOCABULARY = [*SPECIAL, "Instruct:", "Query:", *WORDS]
LENGTH = 24


def tokenizer(end: str | None = None, begin: str | None = None) -> Any:
    """Splits at white space; the post-processor adds `begin` and `end` to every text."""
    made = word_tokenizer(VOCABULARY)
    names = [name for name in (begin, end) if name]
    if names:
        template = " ".join([*([begin] if begin else []), "$A", *([end] if end else [])])
        special = [(name, VOCABULARY.index(name)) for name in names]
        made.backend_tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    return made


def transformer(folder: Path, model: Any, words: Any, *, padding_side: str = "right", **settings: Any) -> Any:
    """The first module, of a model with random weights."""
    words.padding_side = padding_side
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return st.Transformer(str(folder), max_seq_length=LENGTH, **settings)


def dense(before: int, after: int, **options: Any) -> Any:
    return st.Dense(before, after, **options)


def qwen3(folder: Path, hf: Any) -> Any:
    """Qwen3-Embedding: causal, padded on the left, the end token from the post-processor, an instruction."""
    model = hf.Qwen3Model(hf.Qwen3Config(vocab_size=len(VOCABULARY), **CAUSAL))
    first = transformer(folder, model, tokenizer(end="</s>"), padding_side="left")
    return [first, st.Pooling(16, "lasttoken"), st.Normalize()], {"query": INSTRUCTION, "document": ""}


def e5_mistral(folder: Path, hf: Any) -> Any:
    """e5-mistral: begin and end tokens, a sliding window, several prompts."""
    model = hf.MistralModel(hf.MistralConfig(vocab_size=len(VOCABULARY), sliding_window=8, **CAUSAL))
    first = transformer(folder, model, tokenizer(end="</s>", begin="<s>"))
    return [first, st.Pooling(16, "lasttoken")], {"query": INSTRUCTION, "other": "Instruct: w53\nQuery:"}


def embedding_gemma(folder: Path, hf: Any) -> Any:
    """EmbeddingGemma: attention to both sides, mean pooling, two dense modules without bias, unit length."""
    sizes = CAUSAL | {"use_bidirectional_attention": True, "sliding_window": 8, "query_pre_attn_scalar": 4}
    model = hf.Gemma3TextModel(hf.Gemma3TextConfig(vocab_size=len(VOCABULARY), **sizes))
    first = transformer(folder, model, tokenizer(end="</s>", begin="<s>"))
    linear = {"bias": False, "activation_function": torch.nn.Identity()}
    layers = [dense(16, 40, **linear), dense(40, 16, **linear), st.Normalize()]
    return [first, st.Pooling(16, "mean"), *layers], {"query": "w50 | w51: ", "document": "w52: w53 | w54: "}


def modern_bert(folder: Path, hf: Any) -> Any:
    """ModernBERT: rotary positions, local and global attention."""
    ids = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 1, "bos_token_id": 2, "eos_token_id": 1}
    config = hf.ModernBertConfig(vocab_size=len(VOCABULARY), local_attention=8, **SIZES, **ids)
    first = transformer(folder, hf.ModernBertModel(config), tokenizer(end="</s>", begin="<s>"))
    return [first, st.Pooling(16, "mean")], {"query": "w50: ", "document": "w51: "}


def nomic(folder: Path, hf: Any) -> Any:
    """nomic-embed-text: rotary positions, prefixes for queries and documents."""
    config = hf.NomicBertConfig(vocab_size=len(VOCABULARY), **SIZES, pad_token_id=0)
    first = transformer(folder, hf.NomicBertModel(config), tokenizer(end="</s>", begin="<s>"))
    return [first, st.Pooling(16, "mean")], {"query": "w50: ", "document": "w51: "}


def bge(folder: Path, hf: Any) -> Any:
    """bge: BERT, its first token, unit length, lower-casing, no prompts in the folder."""
    config = hf.BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, initializer_range=0.3, **SIZES)
    first = transformer(folder, hf.BertModel(config), tokenizer(end="</s>", begin="<s>"), do_lower_case=True)
    return [first, st.Pooling(16, "cls"), st.Normalize()], {}


def sentence_t5(folder: Path, hf: Any) -> Any:
    """sentence-t5: the encoder of an encoder-decoder, a dense module, unit length."""
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    model = hf.T5EncoderModel(hf.T5Config(vocab_size=len(VOCABULARY), **sizes, pad_token_id=0, eos_token_id=1))
    first = transformer(folder, model, tokenizer(end="</s>"))
    layer = dense(16, 12, bias=False, activation_function=torch.nn.Identity())
    return [first, st.Pooling(16, "mean"), layer, st.Normalize()], {}


def every_layer(folder: Path, hf: Any) -> Any:
    """any other model: each standard module after pooling, unit length in the middle, a residual connection."""
    config = hf.BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, initializer_range=0.3, **SIZES)
    first = transformer(folder, hf.BertModel(config), tokenizer())
    layers = [st.Normalize(), dense(16, 24, use_residual=True), st.LayerNorm(24), st.Dropout(0.1), dense(24, 24)]
    return [first, st.Pooling(16, "weightedmean"), *layers], {"passage": "w50: "}


KINDS = [qwen3, e5_mistral, embedding_gemma, modern_bert, nomic, bge, sentence_t5, every_layer]


def sentence_folder(make: Callable[..., Any], place: Path) -> Path:
    import transformers

    torch.manual_seed(0)
    parts, prompts = make(place / "transformer", transformers)
    library.SentenceTransformer(modules=parts, prompts=prompts or None, device="cpu").save(str(place / "st"))
    return place / "st"


def assert_equal_vectors(folder: Path, retriever: Retriever) -> None:
    model = library.SentenceTransformer(str(folder), device="cpu")
    prompt = model.prompts.get("document") or model.prompts.get("passage")  # encode_document prefers an empty one
    documents = model.encode(TEXTS, prompt=prompt or "")
    np.testing.assert_allclose(model.encode_query(QUESTIONS), retriever.encode_questions(QUESTIONS), atol=1e-5)
    found = retriever.encode_passages([Passage(str(i), text) for i, text in enumerate(TEXTS)])
    np.testing.assert_allclose(documents, found, atol=1e-5)
    assert np.abs(documents[0] - documents[1]).max() > 1e-3, "texts that differ have other vectors"


def kinds_of(folder: Path) -> list[tuple[str, str]]:
    modules = orjson.loads((folder / "modules.json").read_bytes())
    return [(module["type"].rsplit(".", 1)[-1], module["path"]) for module in modules]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_vectors_are_those_of_sentence_transformers_before_and_after_training(
    make: Callable[..., Any], questions: Write, tmp_path: Path
) -> None:
    folder = sentence_folder(make, tmp_path)
    before = load_retriever(folder)
    assert_equal_vectors(folder, before)
    options = ["--n-passages", "4", "--steps", "3", "--batch", "4", "--lr", "1e-2", "--precision", "float32", "-q"]
    command = ["train-retriever", str(questions()), "--retriever", str(folder), "-o", str(tmp_path / "r"), *options]
    CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    after = load_retriever(tmp_path / "r")
    assert after.settings == before.settings
    assert_equal_vectors(tmp_path / "r", after)
    assert kinds_of(tmp_path / "r") == kinds_of(folder)
    assert np.abs(after.encode_questions(QUESTIONS) - before.encode_questions(QUESTIONS)).max() > 1e-3
    for kind, place in kinds_of(folder):
        if kind == "Dense":
            name = Path(place) / "model.safetensors"
            old, new = load_file(folder / name), load_file(tmp_path / "r" / name)
            assert not torch.equal(old["linear.weight"], new["linear.weight"]), "dense modules are trained too"


@pytest.mark.parametrize("how", POOLINGS)
def test_pooling_is_that_of_sentence_transformers_under_either_padding_side(how: Any) -> None:
    names = {"last": "lasttoken", "weighted-mean": "weightedmean", "mean-sqrt": "mean_sqrt_len_tokens"}
    torch.manual_seed(0)
    rows = [torch.randn(length, 5) for length in (1, 4, 7)]
    for left in (False, True) if how != "cls" else (False,):
        hidden, mask = torch.full((3, 7, 5), 9.0), torch.zeros(3, 7, dtype=torch.long)
        for i, row in enumerate(rows):
            place = slice(7 - len(row), 7) if left else slice(0, len(row))
            hidden[i, place], mask[i, place] = row, 1
        other = st.Pooling(5, names.get(how, how))
        expected = other({"token_embeddings": hidden, "attention_mask": mask})["sentence_embedding"]
        torch.testing.assert_close(pool(hidden, mask, how), expected)


def test_prompts_are_chosen_by_name_and_the_others_are_kept(questions: Write, tmp_path: Path) -> None:
    folder = sentence_folder(e5_mistral, tmp_path)
    assert load_retriever(folder).settings.question_format == INSTRUCTION + "{question}"
    chosen = load_retriever(folder, question_prompt="other").settings
    assert chosen.question_format == "Instruct: w53\nQuery:{question}"
    (tmp_path / "saved").mkdir()
    load_retriever(folder, question_prompt="other").save(tmp_path / "saved")
    about = orjson.loads((tmp_path / "saved" / "config_sentence_transformers.json").read_bytes())
    expected = {"query": "Instruct: w53\nQuery:", "document": "", "other": "Instruct: w53\nQuery:"}
    assert about["prompts"] == expected


def test_a_default_prompt_stands_in_for_prompts_of_other_names(tmp_path: Path) -> None:
    folder = sentence_folder(bge, tmp_path)
    about = {"prompts": {"retrieval": "w50: "}, "default_prompt_name": "retrieval"}
    (folder / "config_sentence_transformers.json").write_bytes(orjson.dumps(about))
    settings = load_retriever(folder).settings
    assert (settings.question_format, settings.passage_format) == ("w50: {question}", "w50: {title} {text}")


@pytest.mark.parametrize("changes", [{}, {"normalize": True}], ids=["as it is", "normalize"])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot", None])
def test_a_similarity_that_inner_products_do_not_rank_by_is_reported(
    similarity: str | None, changes: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = sentence_folder(modern_bert, tmp_path)
    path = folder / "config_sentence_transformers.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"similarity_fn_name": similarity}))
    load_retriever(folder, **changes)
    said = [f"meant to be compared by {similarity}"] if similarity in ("cosine", "euclidean") and not changes else []
    assert [text for text in said if text in caplog.text] == said
    assert len(caplog.records) == len(said)


def test_no_title_leaves_no_blank(tmp_path: Path) -> None:
    settings = load_retriever(sentence_folder(modern_bert, tmp_path)).settings
    assert settings.passage_text(Passage("1", "w1", "w2")) == "w51: w2 w1"
    assert settings.passage_text(Passage("1", "w1")) == "w51: w1"


def test_weights_of_an_old_folder_may_be_pickles_of_tensors(tmp_path: Path) -> None:
    folder = sentence_folder(sentence_t5, tmp_path)
    expected = load_retriever(folder).encode_questions(QUESTIONS)
    weights = folder / "2_Dense" / "model.safetensors"
    torch.save(load_file(weights), folder / "2_Dense" / "pytorch_model.bin")
    weights.unlink()
    assert np.array_equal(load_retriever(folder).encode_questions(QUESTIONS), expected)


def broken(folder: Path, file: str, **changes: Any) -> None:
    record = orjson.loads((folder / file).read_bytes())
    if isinstance(record, list):
        record[2].update(changes)
    else:
        record.update(changes)
    (folder / file).write_bytes(orjson.dumps(record))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("modules.json", {"type": "custom_st.Dense"}, "custom_st.Dense is code of its own, which is never run"),
        ("modules.json", {"type": "sentence_transformers.models.Router"}, "unsupported module: Router"),
        ("modules.json", {"path": "../2_Dense"}, "a module outside the folder (got ../2_Dense)"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "unsupported activation function"),
        ("2_Dense/config.json", {"out_features": 1 << 40}, "the weights are not those of config.json"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "unsupported Dense"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}, "unsupported pooling: must be one of cls, mean"),
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "unsupported pooling: must be one of cls, mean"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "field 'transformer_task': unsupported"),
        ("sentence_bert_config.json", {"config_kwargs": {"is_causal": False}}, "unsupported argument (got is_causal)"),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}, "must be an object of strings"),
    ],
)
def test_what_is_not_supported_is_named(
    file: str, changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sentence_folder(sentence_t5, tmp_path)
    broken(folder, file, **changes)
    passages = tmp_path / "p.jsonl"
    passages.write_text('{"id": "1", "text": "w1"}\n')
    assert run(["embed", str(passages), "--retriever", str(folder), "-o", str(tmp_path / "p.npy")]) == 1
    error = capsys.readouterr().err
    assert message in error.replace("\n", " "), error
    assert "Traceback" not in error


@pytest.mark.parametrize("end", ["</s>", None])
def test_the_end_token_is_the_tokenizers_to_add_and_survives_a_cut(
    end: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import transformers

    model = transformers.Qwen3Model(transformers.Qwen3Config(vocab_size=len(VOCABULARY), **CAUSAL))
    model.save_pretrained(tmp_path)
    tokenizer(end=end).save_pretrained(tmp_path)
    retriever = load_retriever(tmp_path, pooling="last", question_format="{question}", question_maxlength=3)
    (tmp_path / "p.jsonl").write_text('{"id": "1", "text": "w1"}\n')
    arguments = ["embed", str(tmp_path / "p.jsonl"), "--retriever", str(tmp_path), "-o", str(tmp_path / "p.npy")]
    assert run([*arguments, "--pooling", "last"]) == 0
    assert ("the tokenizer adds no end token" in capsys.readouterr().err) == (end is None)
    a, b, c, d = (VOCABULARY.index(word) for word in ("w1", "w2", "w3", "</s>"))
    assert retriever.tokenize_questions(["w1 w2 w3 w4"]) == [[a, b, d] if end else [a, b, c]]


def test_an_end_token_from_the_settings_of_a_llama_tokenizer_is_kept(tmp_path: Path) -> None:
    """e5-mistral's folder asks for it with `add_eos_token` in tokenizer_config.json."""
    from transformers import LlamaTokenizer

    words = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a"])}
    made = LlamaTokenizer(vocab=words, merges=[("▁", "a")], add_eos_token=True, pad_token="<unk>")
    assert made("a")["input_ids"][-1] == words["</s>"]
    from fidtools.compute.tokenizers import load_tokenizer, save_tokenizer

    made.save_pretrained(tmp_path / "a")
    own = load_tokenizer("x", tmp_path / "a")
    (tmp_path / "b").mkdir()
    save_tokenizer(own, tmp_path / "b")
    for folder in ("a", "b"):
        ids = load_tokenizer("x", tmp_path / folder)("a", truncation=True, max_length=2)["input_ids"]
        assert (len(ids), ids[-1]) == (2, words["</s>"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pooling", "cls"], "a causal language model (qwen3): its first token sees no other"),
        (["--question-prompt", "passage"], "--question-prompt passage: the initial model has no prompt of this name"),
        (["--question-prompt", "query", "--question-format", "{question}"], "give --question-prompt or --question-f"),
        (["--passage-prompt", ""], "the name is empty"),
        (["--projection", "4", "--freeze-passages"], "--freeze-passages keeps the passage vectors"),
        (["--matryoshka", "17"], "--matryoshka 17: the retriever's vectors have 16 dimensions"),
        (["--lora", "0"], "0 is not in the range x>=1"),
        (["--mask-above", "nan", "--loss", "infonce", "--labels", "gold"], "nan is not a finite number"),
    ],
)
def test_options_that_do_not_suit_the_model_are_refused(
    questions: Write, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sentence_folder(qwen3, tmp_path)
    command = ["train-retriever", str(questions()), "--retriever", str(folder), "-o", str(tmp_path / "r"), *options]
    assert run(command) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error, error
    assert not (tmp_path / "r").exists()


def test_layers_after_pooling_leave_no_place_for_a_projection(
    questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sentence_folder(sentence_t5, tmp_path)
    command = ["train-retriever", str(questions()), "--retriever", str(folder), "-o", str(tmp_path / "r")]
    assert run([*command, "--projection", "4"]) == 2
    assert "--projection does not apply: the initial model has layers after pooling" in capsys.readouterr().err

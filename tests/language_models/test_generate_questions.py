"""generate-questions through the command line: what is kept, counted, divided and resumed, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from safetensors.torch import load_file, save_file

from fidtools.cli import run
from fidtools.commands import generate_questions
from fidtools.language_models.continuation import Named
from fidtools.language_models.model import LanguageModel
from tests.models import tiny_causal_model, tiny_model, word_tokenizer
from tests.toy_models import RETRIEVER

WRITER = "fidtools.language_models.question_writing.continuations"
TOWNS = ["Aros", "Borvik", "Cedo", "Dalen", "Elva", "Fjord", "Gond", "Holm", "Isle", "Juva"]
PASSAGES = [
    {
        "id": f"{town}-{i}",
        "title": town,
        "doc_id": town,
        "text": f"In {town} the {thing} number {i} was built in 1{i}{n}.",
    }
    for n, town in enumerate(TOWNS, 10)
    for i, thing in enumerate(["bridge", "tower", "harbour"], 7)
]
Reply = Callable[[str], str]


def good(prompt: str) -> str:
    """A question about the sentence that the prompt ends with, and its year as the answer."""
    town, thing, number, year = re.findall(r"In (\w+) the (\w+) number (\d) was built in (\d+)", prompt)[-1]
    return f" When was the {thing} number {number} of {town} built?\nAnswer: {year}\n"


@pytest.fixture(scope="module")
def model(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm") / "model"
    tiny_causal_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    path = tmp_path / "passages.jsonl"
    path.write_bytes(b"".join(orjson.dumps(passage) + b"\n" for passage in PASSAGES))
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the model reply well; returns the names of the prompts, as they come."""
    names: list[str] = []

    def reply(model: LanguageModel, prompts: list[Named], *rest: Any) -> list[str]:
        names.extend(prompt.name for prompt in prompts)
        return [good(model.tokenizer.decode(prompt.ids)) for prompt in prompts]

    monkeypatch.setattr(WRITER, reply)
    return names


def generate(
    passages: Path, model: Path, *options: str, code: int = 0, name: str = "out.jsonl"
) -> list[dict[str, Any]]:
    out = passages.with_name(name)
    short = ["--prompt", "{title}\n{text}\nQuestion:"]
    arguments = ["generate-questions", str(passages), "--model", str(model), "-o", str(out), *short, *options]
    assert run(arguments) == code
    return [orjson.loads(line) for line in out.read_bytes().splitlines()] if out.exists() else []


def test_questions_with_their_passage_and_answer(passages: Path, model: Path, asked: list[str]) -> None:
    found = generate(passages, model)
    texts = {passage["id"]: passage["text"] for passage in PASSAGES}
    assert len(found) == 30
    for line in found:
        (gold,) = line["gold"]
        assert line["answers"][0] in texts[gold]
        assert line == {
            "id": f"{gold}.q1",
            "question": good(texts[gold]).split("\n")[0].strip(),
            "answers": line["answers"],
            "doc_id": gold.split("-")[0],
            "gold": [gold],
            "synthetic": True,
            "split": line["split"],
            "generated_by": str(model),
        }


def test_documents_take_turns_and_are_divided(passages: Path, model: Path, asked: list[str]) -> None:
    options = ["--sample", "20", "--shares", "60,20,20", "--split", str(passages.with_name("split"))]
    found = generate(passages, model, *options)
    assert {line["doc_id"] for line in found[:10]} == set(TOWNS)
    parts = {line["doc_id"]: line["split"] for line in found}
    assert [list(parts.values()).count(part) for part in ("train", "dev", "test")] == [6, 2, 2]
    for part in ("train", "dev", "test"):
        lines = (passages.with_name("split") / f"{part}.jsonl").read_bytes().splitlines()
        assert [orjson.loads(line) for line in lines] == [line for line in found if line["split"] == part]


def test_questions_of_the_user_by_the_names_of_the_splits_are_not_replaced(
    passages: Path, model: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder was replaced: hand-made train.jsonl and test.jsonl were lost without a word."""
    folder = passages.with_name("data")
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"id": "1", "question": "mine?", "answers": ["yes"]}\n')
    assert generate(passages, model, "--split", str(folder), code=2) == []
    assert "is not only questions of generate-questions: it holds train.jsonl" in capsys.readouterr().err
    assert (folder / "train.jsonl").read_text().count("mine") == 1
    (folder / "train.jsonl").unlink()
    generate(passages, model, "--split", str(folder))
    generate(passages, model, "--split", str(folder), "--shares", "1,1,0")  # its own may be replaced
    assert sorted(path.name for path in folder.iterdir()) == ["dev.jsonl", "train.jsonl"]


def test_what_is_dropped_is_counted_and_written(
    passages: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(model: LanguageModel, prompts: list[Named], *rest: Any) -> list[str]:
        texts = [model.tokenizer.decode(prompt.ids) for prompt in prompts]
        poor = [" nothing", " When?\nAnswer: never", f"{good(texts[2]).splitlines()[0]}\nAnswer: Aros"]
        same = " When was the tower number 8 of Cedo built?\nAnswer: in\n"  # leads to Cedo alone
        return [*poor, *(same if place < 8 else good(text) for place, text in enumerate(texts[3:], 3))]

    monkeypatch.setattr(WRITER, reply)
    found = generate(passages, model, "--found-within", "1", "--dropped", str(passages.with_name("dropped.jsonl")))
    dropped = [orjson.loads(line) for line in passages.with_name("dropped.jsonl").read_bytes().splitlines()]
    assert len(found) + len(dropped) == 30
    said = capsys.readouterr().err
    assert f"30 attempts, {len(found)} questions kept ({100 * len(found) / 30:.1f}%)" in said
    reasons = [each["dropped"] for each in dropped]
    for reason in set(reasons):
        assert f"{reasons.count(reason)}: {reason}" in said
    assert reasons.count("no question with an answer in the reply") == 1
    assert reasons.count("passage not found by the question") >= 4
    assert dropped[0]["reply"] == "Question: nothing"


def test_the_same_by_seed_and_independent_of_groups_and_budget(
    passages: Path, model: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = generate(passages, model, "--sample", "12")
    assert generate(passages, model, "--sample", "12", "--token-budget", "1") == first
    monkeypatch.setattr(generate_questions, "GROUP", 5)
    assert generate(passages, model, "--sample", "12") == first
    assert generate(passages, model, "--sample", "12", "--seed", "1") != first


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_an_interrupted_run_is_continued(
    passages: Path, model: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(generate_questions, "GROUP", 7)
    whole = generate(passages, model, "--per-passage", "2", "--temperature", "1", name="whole.jsonl")
    options = ["--per-passage", "2", "--temperature", "1", "--resume"]
    from fidtools.language_models import round_trip

    original, count = round_trip.attempt_all, [0]

    def interrupted(*given: Any) -> Any:
        if count[0] == stop:
            raise KeyboardInterrupt
        count[0] += 1
        return original(*given)

    monkeypatch.setattr(round_trip, "attempt_all", interrupted)
    assert generate(passages, model, *options, code=130) == []
    monkeypatch.setattr(round_trip, "attempt_all", original)
    asked.clear()
    assert generate(passages, model, *options) == whole
    assert len(asked) == 60 - 7 * stop
    assert not [path.name for path in passages.parent.iterdir() if path.name.startswith(".out")]


def test_a_run_with_other_options_is_not_continued(
    passages: Path, model: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fidtools.language_models import round_trip

    monkeypatch.setattr(generate_questions, "GROUP", 20)
    original = round_trip.attempt_all
    with monkeypatch.context() as patch:
        patch.setattr(round_trip, "attempt_all", lambda *given: original(*given) if len(given[2]) == 20 else 1 / 0)
        generate(passages, model, code=70)
    assert generate(passages, model, "--resume", "--seed", "4", code=2) == []
    assert "seed was 0, is now 4" in capsys.readouterr().err
    assert len(generate(passages, model, "--seed", "4")) == 30


def test_a_finished_run_is_not_done_again(
    passages: Path, model: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--resume", "--dropped", str(passages.with_name("dropped.jsonl"))]
    found = generate(passages, model, *options)
    asked.clear()
    capsys.readouterr()
    assert generate(passages, model, *options) == found
    assert (asked, "out.jsonl is finished; nothing to do" in capsys.readouterr().err) == ([], True)
    assert generate(passages, model, *options, "--seed", "4", code=2) == found
    assert "the finished run used other settings: seed was 0, is now 4" in capsys.readouterr().err
    assert generate(passages, model, *options, "--precision", "bf16", code=2) == found
    assert "the finished run used other settings: precision was float32, is now bfloat16" in capsys.readouterr().err
    passages.with_name("out.jsonl").write_text("mine\n")
    short = ["--prompt", "{title}\n{text}\nQuestion:"]
    again = ["generate-questions", str(passages), "--model", str(model), "-o", str(passages.with_name("out.jsonl"))]
    assert run([*again, *short, *options]) == 2
    assert passages.with_name("out.jsonl").read_text() == "mine\n"
    assert "out.jsonl is not as the finished run left it" in capsys.readouterr().err
    assert generate(passages, model) == found


def test_a_run_is_not_continued_with_another_model_of_the_same_name(
    passages: Path, model: Path, asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(model, tmp_path / "lm")
    found = generate(passages, tmp_path / "lm")
    weights = load_file(tmp_path / "lm" / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, tmp_path / "lm" / "model.safetensors")
    assert generate(passages, tmp_path / "lm", "--resume", code=2) == found
    assert "the finished run used other settings: model_version was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ cycler.__init__.__globals__.os.getcwd() }}", "the model's chat template cannot be used: access to"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "the model's chat template cannot be used: Range too big"),
        ("{% for", "the model's chat template cannot be used: "),
        ("hello", "the model's chat template leaves the prompt out"),
    ],
)
def test_a_hostile_or_damaged_chat_template_is_refused(
    template: str, said: str, passages: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(model, tmp_path / "lm")
    (tmp_path / "lm" / "chat_template.jinja").write_text(template)
    assert generate(passages, tmp_path / "lm", "--chat", code=1) == []
    assert f"fidtools: {said}" in capsys.readouterr().err


def test_nothing_kept_is_an_error(
    passages: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WRITER, lambda model, prompts, *rest: [""] * len(prompts))
    assert generate(passages, model, code=1) == []
    assert "no question was kept" in capsys.readouterr().err


def test_too_few_documents_to_divide(
    passages: Path, model: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    passages.write_bytes(b"".join(orjson.dumps(passage) + b"\n" for passage in PASSAGES[:6]))
    assert generate(passages, model, "--split", str(passages.with_name("split")), code=1) == []
    assert "no question is left for" in capsys.readouterr().err
    assert not passages.with_name("split").exists()
    asked.clear()
    found = generate(passages, model, "--resume", "--split", str(passages.with_name("split")), "--shares", "1,1,0")
    assert (len(found), asked) == (6, [])
    assert [path.name for path in sorted(passages.with_name("split").iterdir())] == ["dev.jsonl", "train.jsonl"]


def test_the_likelihood_of_the_question_decides(passages: Path, model: Path, asked: list[str]) -> None:
    """A random model prefers other passages for most questions; what it keeps is kept without the check, too."""
    everything = generate(passages, model)
    checked = generate(passages, model, "--check-likelihood", "--precision", "float32")
    ids = [line["id"] for line in everything]
    assert 0 < len(checked) < len(everything)
    assert [line["id"] for line in checked] == [name for name in ids if name in {line["id"] for line in checked}]


def test_a_retriever_finds_the_passages(passages: Path, model: Path, asked: list[str]) -> None:
    vectors = passages.with_name("p.npy")
    assert run(["embed", str(passages), "--retriever", RETRIEVER, "-o", str(vectors), "-q"]) == 0
    given = ["--retriever", RETRIEVER, "--embeddings", str(vectors), "--found-within"]
    assert len(generate(passages, model, *given, "30")) == 30
    first = generate(passages, model, *given, "1")
    assert 0 < len(first) < 30
    assert not passages.with_name("passages.jsonl.bm25-tantivy").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "{title}"], "{text} or {sentence}"),
        (["--per-passage", "2"], "every attempt at a passage would be the same"),
        (["--retriever", "minilm"], "need each other"),
        (["--shares", "1,2"], "expected three numbers"),
        (["--shares", "0,1,1"], "expected three numbers"),
        (["--chat"], "no chat template"),
        (["-o", "-", "--resume"], "--resume continues a file"),
    ],
)
def test_what_does_not_go_together_is_refused(
    passages: Path, model: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(passages, model, *options, code=2) == []
    assert message in " ".join(capsys.readouterr().err.split())


def test_encoder_decoders_are_refused(passages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_model("t5").save_pretrained(tmp_path / "t5")
    word_tokenizer().save_pretrained(tmp_path / "t5")
    assert generate(passages, tmp_path / "t5", code=2) == []
    assert "an encoder-decoder, which continues no prompt" in capsys.readouterr().err
    assert not list(tmp_path.glob(".out*"))

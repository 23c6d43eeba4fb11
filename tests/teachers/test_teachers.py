"""Cross-encoders: trained on labels, they score pairs, and other libraries load them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification
from transformers.models.bert_japanese.tokenization_bert_japanese import BertJapaneseTokenizer

from fidtools.cli import run
from fidtools.compute.device import Compute
from fidtools.compute.lengths import Cut
from fidtools.data.read import read_questions
from fidtools.errors import DataError, UsageError
from fidtools.teachers.coattention import Coattention
from fidtools.teachers.cross_encoder import CrossEncoder
from fidtools.teachers.interface import TeacherSettings
from fidtools.teachers.objective import TeacherObjective, read_judged, score_pairs
from fidtools.teachers.teacher_folder import load_teacher
from fidtools.training.order import ExampleRef
from tests.models import VOCABULARY, word_tokenizer

Write = Callable[..., Path]
QUICK = ["--labels", "gold", "--batch", "8", "--precision", "float32", "--steps", "120", "--eval-every", "60"]


def lines(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("start", ["transformer", "coattention"])
def test_a_teacher_learns_labels_and_its_scores_rank_by_them(
    plain_model: Path, questions: Write, tmp_path: Path, start: str
) -> None:
    train = questions(count=8)
    options = ["--teacher", str(plain_model), "--lr", "3e-3", "--maxlength", "40"]
    if start == "coattention":
        options = ["--coattention", "--hidden", "8", "--word-dim", "8", "--lr", "1e-2"]
    teacher, output = tmp_path / "teacher", tmp_path / "scored.jsonl"
    assert run(["train-teacher", str(train), "--dev", str(train), "-o", str(teacher), *QUICK, *options]) == 0
    result = orjson.loads((teacher / "training.json").read_bytes())["result"]
    assert result["metrics"]["map"] > 0.9
    arguments = ["score-cross", str(train), "--teacher", str(teacher), "--precision", "float32", "-o", str(output)]
    assert run(arguments) == 0
    first = [question.ctxs[0] for question in read_questions(output) if question.ctxs]
    gold = [line["gold"] for line in lines(train)]
    assert np.mean([passage.id in wanted for passage, wanted in zip(first, gold, strict=True)]) > 0.8  # type: ignore[operator]
    assert all(passage.score == passage.scores["cross"] and "attention" in passage.scores for passage in first)


def test_scores_do_not_depend_on_the_batch(plain_model: Path, questions: Write) -> None:
    teacher = load_teacher(plain_model, new_head=True, maxlength=40)
    asked = list(read_questions(questions(count=2)))
    pairs = [(q.question, teacher.settings.passage_text(p.title, p.text)) for q in asked for p in q.ctxs or []]
    together = score_pairs(teacher, *map(list, zip(*pairs, strict=True)), 1 << 20)
    alone = [score_pairs(teacher, [q], [p], 1)[0] for q, p in pairs]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("own", "given"), [(0, "</s>"), (None, "<pad>"), (None, None)])
def test_a_causal_classifier_is_padded_by_its_own_token(tmp_path: Path, own: int | None, given: str | None) -> None:
    config = GPT2Config(vocab_size=len(VOCABULARY), n_embd=16, n_layer=1, n_head=2, initializer_range=0.3, num_labels=1)
    config.pad_token_id, config.eos_token_id = own, 1
    torch.manual_seed(0)
    model, tokenizer = GPT2ForSequenceClassification(config).eval(), word_tokenizer()
    tokenizer.pad_token = given
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    passages = ["w3", "w1 w2 w3 w4", "w5 w6"]
    with torch.inference_mode():
        alone = [model(**tokenizer("w9", passage, return_tensors="pt")).logits.item() for passage in passages]
    scores = score_pairs(load_teacher(tmp_path), ["w9"] * 3, passages, 1 << 20)
    np.testing.assert_allclose(scores, alone, rtol=1e-4)


def test_a_tokenizer_in_python_counts_what_it_cuts(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "w1", "w2"]))
    tokenizer = BertJapaneseTokenizer(str(tmp_path / "words"), word_tokenizer_type="basic")
    config = BertConfig(vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    config.num_labels = 1
    teacher = CrossEncoder(BertForSequenceClassification(config), tokenizer, TeacherSettings(maxlength=10))
    found = teacher.tokenize(["w1", "w1"], ["w2 " * 16, "w2"])
    assert [len(ids) for ids, _ in found] == [10, 5]
    assert teacher.cuts.kinds["passages"] == Cut(texts=2, cut=1, tokens=10, most=10)


def test_sentence_transformers_loads_a_cross_encoder(plain_model: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    torch.manual_seed(0)
    teacher = load_teacher(plain_model, new_head=True)
    teacher.save(tmp_path)
    pairs = [("w1 w2", "w3 w1"), ("w5", "w2 w2 w2 w7 w8")]
    expected = score_pairs(teacher, *map(list, zip(*pairs, strict=True)), 1000)
    model = library.CrossEncoder(str(tmp_path), device="cpu", activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(model.predict(pairs), expected, rtol=1e-5, atol=1e-6)
    again = score_pairs(load_teacher(tmp_path), *map(list, zip(*pairs, strict=True)), 1000)
    np.testing.assert_allclose(again, expected, rtol=1e-6)


def test_scores_are_not_rounded_in_bf16(plain_model: Path) -> None:
    teacher = load_teacher(plain_model, new_head=True, maxlength=40)
    passages = [f"w{i} w{j}" for i in range(10) for j in range(10)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = score_pairs(teacher, ["w1"] * 100, passages, 4000)
    assert len(np.unique(scores)) > 90


def test_a_bf16_teacher_needs_no_autocast_of_its_caller(plain_model: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    load_teacher(plain_model, new_head=True).save(tmp_path)  # with its head, which is random
    pairs = ["w1"] * 3, ["w2 w3", "w4", "w5 w1 w6"]
    rounded = score_pairs(load_teacher(tmp_path, compute=Compute.choose("bf16")), *pairs, 1000)
    exact = load_teacher(tmp_path)
    assert (rounded != score_pairs(exact, *pairs, 1000)).any()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(rounded, score_pairs(exact, *pairs, 1000))


def test_padding_changes_no_coattention_score() -> None:
    torch.manual_seed(0)
    network = Coattention(torch.randn(20, 6), 5).eval()
    question, passage = torch.tensor([[3, 4, 5]]), torch.tensor([[7, 8, 9, 3]])
    alone = network(question, torch.ones(1, 3), passage, torch.ones(1, 4))
    longer = torch.tensor([[3, 4, 5, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])
    wider = torch.tensor([[7, 8, 9, 3, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1, 0, 0, 0]])
    torch.testing.assert_close(network(*longer, *wider), alone)


def test_negatives_are_drawn_anew_in_each_epoch_and_alike_in_each_run(plain_model: Path, questions: Write) -> None:
    judged = read_judged(questions(count=4, passages=12), TeacherSettings(), "gold", 12)
    objective = TeacherObjective(load_teacher(plain_model, new_head=True), judged, [], negatives=3, seed=1, budget=1000)
    first, again, later = (objective.sampled_passages(ExampleRef(0, epoch)) for epoch in (0, 0, 1))
    assert first == again != later
    assert first[0] == 2  # the gold passage
    assert len(set(first)) == 4


def test_every_question_counts_the_same(plain_model: Path, questions: Write) -> None:
    teacher = load_teacher(plain_model, new_head=True, maxlength=40)
    judged = read_judged(questions(count=3), TeacherSettings(maxlength=40), "gold", 6)
    whole = TeacherObjective(teacher, judged, [], negatives=9, seed=0, budget=1 << 20)
    small = TeacherObjective(teacher, judged, [], negatives=9, seed=0, budget=30)
    draws = [ExampleRef(i, 0) for i in range(3)]
    sums = [sum(o.module(batch).item() for batch in o.micro_batches(draws)) for o in (whole, small)]
    expected = 0.0
    for item in judged:
        logits = torch.from_numpy(score_pairs(teacher, [item.question] * 6, item.passages, 1000)).double()
        sign = torch.from_numpy(item.relevant).double() * 2 - 1
        expected += torch.nn.functional.softplus(-sign * logits).mean().item()
    assert sums == pytest.approx([expected, expected], rel=1e-5)


def test_data_without_anything_to_tell_apart_is_refused(questions: Write, tmp_path: Path) -> None:
    path = questions(count=2, gold=["elsewhere"])
    with pytest.raises(DataError, match="no question has both a relevant and an irrelevant passage"):
        read_judged(path, TeacherSettings(), "gold", 6)


def test_a_start_or_a_new_model(questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train-teacher", str(questions()), "-o", str(tmp_path / "t")]) == 2
    assert "give exactly one of --teacher (initial model) and --coattention" in capsys.readouterr().err
    words = ["train-teacher", str(questions()), "-o", str(tmp_path / "t"), "--teacher", "start"]
    (tmp_path / "glove.txt").touch()
    for given in (["--word-vectors", str(tmp_path / "glove.txt")], ["--freeze-words"]):
        assert run([*words, *given]) == 2
        assert given[0] in capsys.readouterr().err
    with pytest.raises(UsageError, match="no such model folder"):
        load_teacher(tmp_path / "absent")


@pytest.mark.parametrize("labels", [1, 2])
def test_adapters_of_a_teacher_are_merged_and_kept_alone(
    plain_model: Path, questions: Write, tmp_path: Path, labels: int
) -> None:
    from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

    peft = pytest.importorskip("peft")
    start = plain_model
    if labels == 2:  # a trained classifier, whose head goes on training
        start = tmp_path / "classifier"
        torch.manual_seed(0)
        BertForSequenceClassification.from_pretrained(plain_model, num_labels=2).save_pretrained(start)
        for file in plain_model.glob("*token*"):
            (start / file.name).write_bytes(file.read_bytes())
    train, out = questions(count=8), tmp_path / "teacher"
    options = ["--teacher", str(start), "--lr", "1e-2", "--maxlength", "40", "--lora", "2", "--keep-adapter"]
    assert run(["train-teacher", str(train), "-o", str(out), *QUICK, "--steps", "3", "--batch", "4", *options]) == 0
    ids = {"input_ids": torch.tensor([[2, 9, 11, 3, 12, 3]])}
    merged = AutoModelForSequenceClassification.from_pretrained(out).eval()
    base = AutoModelForSequenceClassification.from_pretrained(start, num_labels=labels).eval()
    adapted = peft.PeftModel.from_pretrained(base, str(out / "adapter")).eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(**ids).logits, adapted(**ids).logits, atol=1e-5, rtol=1e-5)
    own = merged.bert.state_dict()
    for name, value in AutoModelForSequenceClassification.from_pretrained(start).bert.state_dict().items():
        is_adapted = name.startswith("encoder.") and value.dim() == 2
        is_kept = not name.startswith("pooler.")
        assert torch.equal(own[name], value) != is_adapted or not is_kept, name
    again = score_pairs(load_teacher(out), ["w1"], ["w2 w3"], 1000)
    assert np.isfinite(again).all()


def test_adapters_need_a_model_to_adapt(
    questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], plain_model: Path
) -> None:
    command = ["train-teacher", str(questions()), "-o", str(tmp_path / "t")]
    assert run([*command, "--coattention", "--lora", "2"]) == 2
    assert "--lora only applies to an initial model (--teacher), not to --coattention" in capsys.readouterr().err
    assert run([*command, "--teacher", str(plain_model), "--keep-adapter"]) == 2
    assert "--keep-adapter needs --lora" in capsys.readouterr().err
    small = ["--coattention", *QUICK, "--steps", "1", "--hidden", "4", "--word-dim", "4"]
    assert run(["train-teacher", str(questions()), *small, "-o", str(tmp_path / "words")]) == 0
    assert run([*command, "--teacher", str(tmp_path / "words"), "--lora", "2"]) == 2
    assert "--lora only applies to transformers" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()

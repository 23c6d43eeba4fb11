"""The settings of the examples, and the table that stands beside the paper's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "examples" / "tables"
DATASETS = ("nq", "triviaqa", "narrativeqa", "fever", "squad", "mydocs")


def commands(dataset: str, tmp_path: Path, **variables: str) -> str:
    """What the loop would run."""
    environment = os.environ | {"DRY_RUN": "1", "RUN": str(tmp_path / "run")} | variables
    script = [str(ROOT / "bin" / "iterate.sh"), dataset, "1"]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout


def with_fidtools() -> dict[str, str]:
    """The environment, with the `fidtools` of this Python first on the PATH."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def command_line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


@pytest.mark.parametrize("profile", ["paper", "small", "smoke"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_profile_gives_a_whole_loop(dataset, profile, tmp_path):
    if dataset == "mydocs" and profile != "smoke":
        pytest.skip("mydocs has the models of the user")
    text = commands(dataset, tmp_path, PROFILE=profile)
    for command in ("bm25", "train-reader", "score-attn", "train-retriever", "embed", "retrieve", "eval"):
        assert f"fidtools {command} " in text
    assert not (tmp_path / "run").exists()


def test_the_papers_settings(tmp_path):
    text = commands("nq", tmp_path, PROFILE="paper")
    reader, retriever = command_line(text, "fidtools train-reader"), command_line(text, "fidtools train-retriever")
    assert "--reader google-t5/t5-base --n-context 100 --steps 10000 --batch 64 --lr 1e-4" in reader
    assert "--retriever bert-base-uncased --teacher attention --n-passages 100" in retriever
    assert "--batch 64 --lr 5e-5" in retriever
    assert "-k 100" in command_line(text, "fidtools bm25")
    assert "psgs_w100.tsv" in command_line(text, "fidtools embed")


def test_narrativeqa_searches_its_stories_reads_20_passages_and_uses_3_beams(tmp_path):
    text = commands("narrativeqa", tmp_path, PROFILE="paper")
    assert "--within doc_id" in command_line(text, "fidtools bm25")
    assert "--within doc_id" in command_line(text, "fidtools retrieve")
    assert "--n-context 20" in command_line(text, "fidtools train-reader")
    assert "--n-context 100" in command_line(text, "fidtools score-attn")
    assert "--beams 3" in command_line(text, "fidtools read")


def test_the_environment_overrides(tmp_path):
    changed = {"PROFILE": "small", "READER": "some/reader", "READER_STEPS": "7", "N_CONTEXT": "3", "START": "bert"}
    text = commands("triviaqa", tmp_path, **changed)
    assert "--reader some/reader --n-context 3 --steps 7" in command_line(text, "fidtools train-reader")
    assert "fidtools bm25" not in text


def test_a_folder_of_compressed_files_is_taken_as_it_is(tmp_path):
    for name in ("passages", "train", "dev", "test"):
        (tmp_path / f"{name}.jsonl.gz").touch()
    text = commands("squad", tmp_path, PROFILE="small", DATA=str(tmp_path))
    assert f"-p {tmp_path}/passages.jsonl.gz" in command_line(text, "fidtools bm25")
    assert f"fidtools bm25 {tmp_path}/train.jsonl.gz" in text


@pytest.mark.parametrize(("dataset", "passages", "steps"), [("squad", 4, 60), ("mydocs", 12, 75)])
def test_the_laptop_profile_needs_no_reader_and_no_hub(tmp_path, dataset, passages, steps):
    text = commands(dataset, tmp_path, PROFILE="laptop")
    train = command_line(text, "fidtools train-retriever")
    wanted = f"--teacher question-likelihood=1,bm25=1 --n-passages {passages} --steps {steps} --batch 16"
    assert f"--retriever minilm {wanted}" in train
    assert "--teacher-temperature 0.4" in train
    assert ("--in-batch" in train) == (dataset == "squad")
    assert "--reader smollm --of question" in command_line(text, "fidtools score-likelihood")
    assert "train-reader" not in text
    assert "--tuned 1/fusion.json" in text


@pytest.mark.parametrize(("questions", "batch", "steps"), [("3000", "16", 188), ("100", "50", 2)])
def test_the_laptop_profile_trains_on_each_question_once(tmp_path, questions, batch, steps):
    text = commands("squad", tmp_path, PROFILE="laptop", TRAIN_QUESTIONS=questions, RETRIEVER_BATCH=batch)
    assert f"--steps {steps} --batch {batch} " in command_line(text, "fidtools train-retriever")


def test_the_number_of_questions_is_never_run_as_code(tmp_path):
    settings = {"DRY_RUN": "1", "RUN": f"{tmp_path}/run", "PROFILE": "laptop"}
    questions = f"a[$(touch {tmp_path}/mark)]"
    script = [str(ROOT / "bin" / "iterate.sh"), "squad", "1"]
    done = subprocess.run(
        script, env=os.environ | settings | {"TRAIN_QUESTIONS": questions}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "setting TRAIN_QUESTIONS: " in done.stderr
    assert "must be an integer from one" in done.stderr
    assert not (tmp_path / "mark").exists()


def test_documents_alone_are_enough(tmp_path):
    settings = {"PROFILE": "laptop", "QUESTIONS": "generated"}
    text = commands("mydocs", tmp_path, **settings)
    train = command_line(text, "fidtools train-retriever")
    assert "--source-passage cap --dropout 0" in train
    given = commands(
        "mydocs", tmp_path, PROFILE="laptop", QUESTIONS="generated", RETRIEVER_OPTIONS="--source-passage drop"
    )
    assert "--source-passage cap --source-passage drop" in command_line(given, "fidtools train-retriever")
    asked = commands("mydocs", tmp_path, PROFILE="laptop")
    assert "--source-passage" not in asked


SPLIT = """set -euo pipefail
absolute() { echo "$1"; }
given() { return 1; }
fidtools() { "$PYTHON" -m fidtools "$@"; }
source "$SETTINGS"
split_questions
"""


@pytest.mark.parametrize(
    "content",
    [
        "".join(json.dumps({"question": f"Q{n}, who?", "answers": [f"a{n}"]}) + "\n" for n in range(10)),
        "question,answers\n" + "".join(f'"Q{n}, who?",a{n}\n' for n in range(10)),
        json.dumps([{"question": f"Q{n}, who?", "answers": [f"a{n}"]} for n in range(10)], indent=1),
    ],
)
def test_questions_in_any_format_are_split(content, tmp_path):
    (tmp_path / "asked").write_text(content)
    (tmp_path / "data").mkdir()
    places = {"DATA": f"{tmp_path}/data", "QUESTIONS": f"{tmp_path}/asked", "DATASET_FOLDER": f"{tmp_path}"}
    settings = {"here": str(ROOT), "SETTINGS": f"{ROOT}/examples/mydocs/settings.sh", "PYTHON": sys.executable}
    environment = {k: v for k, v in os.environ.items() if k != "PROFILE"} | {"PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "-c", SPLIT], env=environment | places | settings, check=True, capture_output=True)
    for name, numbers in (("train", [0, 1, 2, 5, 6, 7]), ("dev", [3, 8]), ("test", [4, 9])):
        lines = [json.loads(line) for line in (tmp_path / "data" / f"{name}.jsonl").read_text().splitlines()]
        assert [(q["question"], q["answers"]) for q in lines] == [(f"Q{n}, who?", [f"a{n}"]) for n in numbers]


def test_an_unknown_profile_is_refused(tmp_path):
    environment = os.environ | {"DRY_RUN": "1", "RUN": str(tmp_path / "run"), "PROFILE": "huge"}
    script = [str(ROOT / "bin" / "iterate.sh"), "nq", "1"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "PROFILE=huge is none of laptop paper small smoke" in done.stderr


def evaluation(folder: Path, **metrics: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"files": [{"metrics": {name: {"value": value} for name, value in metrics.items()}}]}
    (folder / "dev.json").write_text(json.dumps(document))
    (folder / "test.json").write_text(json.dumps(document))


def shown(number: str, runs: Path) -> list[list[str]]:
    script = [sys.executable, str(TABLES / "show.py"), number, str(runs)]
    text = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_a_table_shows_mean_and_deviation_over_the_seeds(tmp_path):
    for seed, score in enumerate((40.0, 41.0, 42.0)):
        evaluation(tmp_path / f"seed-{seed}" / "nq-bm25" / "0", **{"R@20": 60.0, "EM": score})
    rows = {row[0]: row[1:] for row in shown("1", tmp_path)}
    assert rows["NaturalQuestions, from BM25, iteration 0"] == ["59.3", "60.0 ± 0.0", "74.0", "–", "41.2", "41.0 ± 1.0"]
    assert rows["NaturalQuestions, from BM25, iteration 1"] == ["76.4", "–", "84.3", "–", "46.8", "–"]


def test_a_row_of_the_best_iteration_is_the_one_that_answers_most_dev_questions(tmp_path):
    for iteration, score in enumerate((40.0, 42.5, 41.0)):
        evaluation(tmp_path / "seed-0" / "nq-bm25" / str(iteration), EM=score, **{"R@20": 50.0 + iteration})
    rows = {row[0]: row[1:] for row in shown("2", tmp_path)}
    assert rows["NaturalQuestions test, from BM25, T5 base"] == ["48.9", "42.5"]
    assert {row[0]: row[1:] for row in shown("3", tmp_path)}["NaturalQuestions test, from BM25"][:2] == ["80.0", "51.0"]


def test_table_1_has_room_for_data_sets_that_the_paper_lacks(tmp_path):
    for start, score in (("bert", 7.0), ("bm25", 9.0)):
        evaluation(tmp_path / "seed-0" / f"squad-{start}" / "1", **{"R@20": 50.0, "EM": score})
    rows = {row[0]: row[1:] for row in shown("1", tmp_path)}
    assert rows["squad, from BERT, iteration 1"] == ["", "50.0", "", "–", "", "7.0"]
    assert rows["squad, from BM25, iteration 1"] == ["", "50.0", "", "–", "", "9.0"]


def test_every_teacher_trains_on_the_same_scores(tmp_path):
    settings = {"SCORED": str(tmp_path / "scored"), "RUNS": str(tmp_path / "runs"), "SEEDS": "0 1", "DRY_RUN": "1"}
    settings["TEACHERS"] = "question-likelihood=1,bm25=1 likelihood=2 labels"
    script = str(TABLES / "teachers.sh")
    text = subprocess.run([script], env=os.environ | settings, capture_output=True, text=True, check=True).stdout
    found = [line.split(" -o ")[1] for line in text.splitlines() if line.startswith("fidtools train-retriever")]
    names = ("question-likelihood+bm25", "likelihood=2", "labels")
    assert found == [f"seed-{seed}/{name}/retriever" for name in names for seed in (0, 1)]
    mixed = command_line(text, f"fidtools train-retriever {tmp_path}/scored/train.jsonl")
    assert "--teacher question-likelihood=1,bm25=1 --n-passages 4 --steps 60" in mixed
    assert "--teacher-temperature 0.4 --in-batch" in mixed
    assert text.count("--loss infonce --labels answer") == 2
    assert text.count("fidtools fuse bm25/test.jsonl") == 7


def test_teachers_are_compared_with_their_start_and_bm25(tmp_path):
    """Two questions: the first seed answers both, the second one of them, as the start and BM25 do."""
    lists = {"one": "10", "both": "11"}
    for name, hits in lists.items():
        ctxs = [[{"id": "p", "text": "it is Ada" if hit == "1" else "it is Bob"}] for hit in hits]
        questions = [{"id": str(n), "question": "who?", "answers": ["Ada"], "ctxs": c} for n, c in enumerate(ctxs)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    places = {"start/test": "one", "start/test.fused": "one", "bm25/test": "one"}
    for seed, name in enumerate(("both", "one")):
        places |= {f"seed-{seed}/bm25/test": name, f"seed-{seed}/bm25/test.fused": "both"}
    for place, name in places.items():
        path = tmp_path / f"{place}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / f"{name}.jsonl").read_bytes())
    script = [
        sys.executable,
        str(TABLES / "teachers.py"),
        str(tmp_path),
        "bm25",
        "absent",
        "--k",
        "1",
        "--seeds",
        "0 1",
    ]
    text = subprocess.run(script, capture_output=True, text=True, check=True, env=with_fidtools()).stdout
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert rows[0] == ["teacher", "seeds", "R@1", "fused R@1"]
    assert [row[0] for row in rows[2:]] == ["BM25", "untouched", "bm25"]
    assert rows[2][2] == "50.0"
    assert rows[4][1:3] == ["2", "75.0 ± 35.4 (p 1.0000)"]
    assert rows[4][3].startswith("100.0 ± 0.0 (p ")

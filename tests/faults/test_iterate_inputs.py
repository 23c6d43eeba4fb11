"""bin/iterate.sh: inputs that were edited between two starts, settings that make no sense, two at once."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fidtools.datasets import toy

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "bin" / "iterate.sh"
NOTHING = {"READER": "/nowhere"}  # the loop ends at its first training


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    toy.write(folder, seed=7)
    for split in ("train", "dev", "test"):
        path = folder / f"{split}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    return folder


@pytest.fixture
def data(world: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("passages", "train", "dev", "test"):
        (folder / f"{name}.jsonl").write_bytes((world / f"{name}.jsonl").read_bytes())
    return folder


def environment(data: Path, **settings: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    fixed = {"PATH": path, "DATA": str(data), "RUN": str(data.parent / "run"), "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | fixed | {"K": "10"} | settings


def iterate(
    data: Path, iterations: str = "0", dataset: str = "toy", **settings: str
) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), dataset, iterations]
    return subprocess.run(command, env=environment(data, **settings), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["passages", "train", "dev", "test"])
def test_an_edited_file_is_noticed_when_the_run_is_started_again(data: Path, name: str) -> None:
    assert "0/reader failed" in iterate(data, **NOTHING).stderr
    path, before = data / f"{name}.jsonl", (data / f"{name}.jsonl").stat()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"e", b"a", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = iterate(data, **NOTHING)
    assert again.returncode == 2
    assert f"{name.upper()}: {path} has changed" in again.stderr
    assert "was made from other contents" in again.stderr
    path.write_bytes(content)
    assert "have 0/train.jsonl" in iterate(data, **NOTHING).stderr


@pytest.mark.parametrize("setting", ["DOCUMENTS", "QUESTIONS", "an edited document"])
def test_other_documents_or_questions_are_noticed(data: Path, setting: str) -> None:
    documents, questions = data / "documents", data / "questions.jsonl"
    documents.mkdir()
    (documents / "a.txt").write_text("text")
    questions.write_bytes((data / "train.jsonl").read_bytes())
    given = NOTHING | {"DOCUMENTS": str(documents), "QUESTIONS": str(questions)}
    assert "0/reader failed" in iterate(data, dataset="mydocs", **given).stderr
    if setting in given:
        moved = Path(given[setting]).rename(data / "moved")
        given[setting] = str(moved)
    else:
        (documents / "a.txt").write_text("edited")
    again = iterate(data, dataset="mydocs", **given)
    assert again.returncode == 2
    assert (f"> {setting}=" if setting in given else f"DOCUMENTS: {documents}/a.txt has changed") in again.stderr


@pytest.mark.parametrize("iterations", ["08", "-1", "1.5", "", "99999", "two"])
def test_a_number_of_iterations_that_is_none_is_a_usage_error(data: Path, iterations: str) -> None:
    done = iterate(data, iterations, DRY_RUN="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: bin/iterate.sh DATASET N" in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "K=0",
        "K=010",
        "K=ten",
        "N_CONTEXT=-1",
        "READER_STEPS=1e3",
        "READER_LR=0",
        "RETRIEVER_LR=nan",
        "SEED=x",
        "EVAL_K=1,,5",
        "EVAL_K=99999999999999999999",
        "K=2147483648",
        "K=99999999999999999999",
        "READER_LR=1e-400",
        "READER_LR=1e999",
        "RETRIEVER_LR=1e",
    ],
)
def test_a_setting_that_makes_no_sense_is_a_usage_error(data: Path, setting: str) -> None:
    name, value = setting.split("=")
    done = iterate(data, DRY_RUN="1", **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"setting {name}: {value} is not valid: it must be ")


@pytest.mark.parametrize(
    "teacher",
    [
        "bm25=0",
        "bm25=x",
        "bm25=1e-7",
        "bm25=nan",
        "bm25,bm25",
        "bm25=1,bm25=2",
        "bm25=",
        "bm25=1,",
        ",bm25",
        "bm25,,likelihood",
        "bm25, bm25",
        "bm25, attention",
    ],
)
def test_a_weight_of_a_teacher_that_makes_no_sense_is_a_usage_error(data: Path, teacher: str) -> None:
    done = iterate(data, DRY_RUN="1", TEACHER=teacher, READ="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(("setting TEACHER: ", "setting READ=0: TEACHER=bm25,attention needs a reader"))
    assert done.stderr.count("\n") == 1


def test_the_second_of_two_scripts_in_one_run_waits(data: Path) -> None:
    (data.parent / "run").mkdir()
    with open(data.parent / "run" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [str(SCRIPT), "toy", "0"]
        given = environment(data, **NOTHING)
        process = subprocess.Popen(command, env=given, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        assert "another process works in" in process.stderr.readline()
        assert not (data.parent / "run" / "settings.txt").exists()
    assert "0/reader failed" in process.communicate()[1]


@pytest.mark.parametrize(
    ("profile", "names"),
    [
        ("smoke", ["FETCH", "FETCH_OPTIONS", "SMOKE_OPTIONS", "DATA"]),
        ("laptop", ["FETCH", "FETCH_OPTIONS", "TRAIN_QUESTIONS", "DEV_QUESTIONS", "TEST_QUESTIONS", "DATA"]),
    ],
)
def test_the_settings_of_a_sample_are_kept(tmp_path: Path, profile: str, names: list[str]) -> None:
    """The data lacks its files, so that the loop ends before its first stage."""
    data, other = tmp_path / "data", tmp_path / "other"
    for folder in (data, other):
        folder.mkdir()
        (folder / "dataset.json").write_text("{}")
    given = {"PROFILE": profile, "RETRIEVER_STEPS": "2", "RUN": str(tmp_path / "run")}
    assert iterate(data, dataset="squad", **given).returncode == 2
    for name in names:
        changed = {"DATA": str(other)}.get(name, "7")
        again = iterate(data, dataset="squad", **given | {name: changed})
        assert again.returncode == 2
        assert f"> {name}={changed}\n" in again.stderr
        assert "was started with other settings" in again.stderr


def test_a_dataset_edited_after_its_sample_was_drawn_is_noticed(data: Path) -> None:
    given = {"PROFILE": "laptop", "RETRIEVER": "/nowhere", "EVAL_OPTIONS": "", "TRAIN_QUESTIONS": "1"}
    assert "start/passages.npy failed" in iterate(data, dataset="squad", **given).stderr
    (data / "dev.jsonl").write_bytes((data / "dev.jsonl").read_bytes() + b"\n")
    again = iterate(data, dataset="squad", **given)
    assert again.returncode == 2
    assert f"DATA/dev: {data}/dev.jsonl has changed" in again.stderr


def test_another_teacher_in_the_same_folder_is_noticed(data: Path) -> None:
    model = data / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    given = NOTHING | {"TEACHER": "attention=1,likelihood=1", "TEACHER_MODEL": str(model)}
    assert "0/reader failed" in iterate(data, **given).stderr
    (model / "config.json").write_text("{ }")
    again = iterate(data, **given)
    assert again.returncode == 2
    assert f"TEACHER_MODEL: {model}/config.json has changed" in again.stderr


def test_paths_are_relative_to_the_callers_folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    given = {"TEACHER": "likelihood", "READ": "0", "TEACHER_MODEL": "model", "RUN": "run"}
    printed = iterate(data, "1", DRY_RUN="1", **given | {"DATA": "data"}).stdout
    assert f"score-likelihood 0/train.jsonl --reader {tmp_path}/model " in printed
    assert f"fidtools bm25 {data}/train.jsonl -p {data}/passages.jsonl " in printed
    documents = iterate(data, dataset="mydocs", DRY_RUN="1", DATA="new", RUN="run").stdout
    assert f"--reader {tmp_path}/new/models/reader " in documents


@pytest.mark.parametrize("name", ["TRAIN", "DEV", "TEST", "PASSAGES"])
@pytest.mark.parametrize("profile", ["smoke", "laptop"])
def test_a_file_that_a_sample_would_replace_is_refused(data: Path, profile: str, name: str) -> None:
    given = {name: str(data / "train.jsonl"), "PROFILE": profile}
    done = iterate(data, dataset="squad", DRY_RUN="1", **given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"setting {name}: PROFILE={profile} draws its files from DATA: name a folder there\n"


def test_the_toy_world_is_fetched_with_its_options(tmp_path: Path) -> None:
    given = {"FETCH_OPTIONS": "--seed 5"} | NOTHING
    assert "0/reader failed" in iterate(tmp_path / "world", **given).stderr
    toy.write(tmp_path / "expected", seed=5)
    for name in ("passages", "train", "dev", "test"):
        found, expected = (tmp_path / folder / f"{name}.jsonl" for folder in ("world", "expected"))
        assert found.read_bytes() == expected.read_bytes()


QUESTIONS = [{"id": f"q{i}", "question": f"Which is {i}?", "answers": [str(i)]} for i in range(1, 6)]
NESTED = [{"question": q["question"], "id": q["id"], "answers": [{"text": q["answers"][0]}]} for q in QUESTIONS]
SQUAD = {"data": [{"title": "t", "paragraphs": [{"context": "1 2 3 4 5", "qas": NESTED}]}]}


@pytest.mark.parametrize(
    "content",
    ["".join(json.dumps(question) + "\n" for question in QUESTIONS), json.dumps(SQUAD), json.dumps(SQUAD, indent=1)],
)
def test_questions_in_any_format_are_split(tmp_path: Path, content: str) -> None:
    (tmp_path / "questions.json").write_text(content)
    (tmp_path / "text.txt").write_text("1 2 3 4 5")
    given = {"QUESTIONS": str(tmp_path / "questions.json"), "DOCUMENTS": str(tmp_path / "text.txt")} | NOTHING
    assert "0/reader failed" in iterate(tmp_path / "data", dataset="mydocs", **given).stderr
    for split, ids in {"train": ["q1", "q2", "q3"], "dev": ["q4"], "test": ["q5"]}.items():
        lines = (tmp_path / "data" / f"{split}.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in lines] == ids


@pytest.mark.parametrize("name", ["train", "passages", "split"])
def test_a_file_of_ones_own_in_data_is_not_replaced(tmp_path: Path, name: str) -> None:
    own = tmp_path / "data" / f"{name}.jsonl"
    own.parent.mkdir()
    content = "".join(json.dumps(question) + "\n" for question in QUESTIONS)
    own.write_text(content)
    refused = iterate(tmp_path / "data", dataset="mydocs", QUESTIONS=str(own))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"setting DATA: {own} would be replaced: choose a folder without it, or with all")
    assert own.read_text() == content
    assert not (tmp_path / "run").exists()


def test_data_of_a_stopped_start_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS[:4]))
    (tmp_path / "text.txt").write_text("1 2 3 4 5")
    given = {"QUESTIONS": str(tmp_path / "questions.jsonl"), "DOCUMENTS": str(tmp_path / "text.txt")}
    for _ in range(2):  # the first leaves train.jsonl
        done = iterate(tmp_path / "data", dataset="mydocs", **given)
        assert (done.returncode, (tmp_path / "data" / "train.jsonl").exists()) == (1, True)
        assert done.stderr.endswith(": five questions are needed at least\n")


def test_too_few_questions_are_named(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS[:4]))
    (tmp_path / "text.txt").write_text("1 2 3 4 5")
    given = {"QUESTIONS": str(tmp_path / "questions.jsonl"), "DOCUMENTS": str(tmp_path / "text.txt")}
    done = iterate(tmp_path / "data", dataset="mydocs", **given)
    assert done.returncode == 1
    assert done.stderr.endswith(f"iterate.sh: {tmp_path}/questions.jsonl: five questions are needed at least\n")


def test_a_profile_that_a_dataset_does_not_have_is_named(data: Path) -> None:
    done = iterate(data, DRY_RUN="1", PROFILE="small", **NOTHING)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: PROFILE is not used: ")
    assert done.stderr.count("\n") == 1
    refused = iterate(data, dataset="mydocs", DRY_RUN="1", PROFILE="labtop")
    assert (refused.returncode, refused.stderr) == (2, "setting PROFILE: labtop is none of laptop, smoke\n")


@pytest.mark.parametrize("name", ["DOCUMENTS", "QUESTIONS"])
@pytest.mark.parametrize("dry", ["0", "1"])
def test_missing_documents_or_questions_leave_no_run(tmp_path: Path, name: str, dry: str) -> None:
    done = iterate(tmp_path / "data", dataset="mydocs", DRY_RUN=dry, **{name: str(tmp_path / "no")})
    assert (done.returncode, done.stderr) == (2, f"setting {name}: {tmp_path}/no: no such file or folder\n")
    assert not (tmp_path / "run").exists()


def test_a_misspelt_setting_is_named(data: Path) -> None:
    others = {"RETRIEVER_STEP": "7", "TRAIN_QUESTIONS": "5", "QUESTIONS": "generated", "DOCUMENT": "docs"}
    done = iterate(data, DRY_RUN="1", RETRIEVER_STEPS="7", TEACHER_MODEL="m", **others)
    assert done.returncode == 0
    ending = "is not used: it is no setting of this dataset and profile (docs/settings.md lists them)"
    assert sorted(done.stderr.splitlines()) == [f"warning: {name} {ending}" for name in sorted(others)]


def test_options_of_a_fetch_that_is_not_made_are_named(data: Path) -> None:
    done = iterate(data, FETCH_OPTIONS="--seed 3", **NOTHING)
    assert f"FETCH_OPTIONS is not used: {data} is there already\n" in done.stderr


def test_modules_in_the_current_folder_are_not_run(data: Path, tmp_path: Path) -> None:
    for name in ("json", "hashlib", "shlex", "fcntl"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the user's {name}')\n")
    command = [str(SCRIPT), "toy", "0"]
    given = environment(data, EVAL_OPTIONS="--regex", **NOTHING)
    done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "0/reader failed" in done.stderr
    assert "the user" not in done.stderr


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"TRAIN": 3}'])
def test_a_damaged_record_of_the_contents_is_named(data: Path, damage: str) -> None:
    run = data.parent / "run"
    run.mkdir()
    (run / "contents.json").write_text(damage)
    done = iterate(data, **NOTHING)
    said = (
        f"{run}/contents.json: damaged: what the run was made from is not known; remove the folder, or only this file"
    )
    assert (done.returncode, done.stderr) == (1, f"{said} to trust it\n")


@pytest.mark.parametrize("damage", [b"", b"\n", b"\0" * 4096])
def test_empty_settings_of_a_run_are_named(data: Path, damage: bytes) -> None:
    settings = data.parent / "run" / "settings.txt"
    assert "0/reader failed" in iterate(data, **NOTHING).stderr
    settings.write_bytes(damage)
    done = iterate(data, **NOTHING)
    said = f"{settings}: damaged: the settings of the run are not known; remove the folder, or only this file"
    assert (done.returncode, done.stderr) == (1, f"{said} to trust those of now\n")
    settings.unlink()
    assert "have 0/train.jsonl" in iterate(data, **NOTHING).stderr


def test_a_run_behind_a_link_that_leads_nowhere(data: Path) -> None:
    (data.parent / "run").symlink_to("unmounted")
    done = iterate(data, **NOTHING)
    assert (done.returncode, done.stderr) == (
        1,
        f"iterate.sh: {data.parent}/run is a link to unmounted, which is not there\n",
    )


def test_ctrl_c_ends_a_script_that_waits_without_a_traceback(data: Path) -> None:
    run = data.parent / "run"
    run.mkdir()
    with (run / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [str(SCRIPT), "toy", "0"], env=environment(data), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stderr is not None
        assert "another process works in" in process.stderr.readline()
        time.sleep(0.5)  # until it waits
        os.killpg(process.pid, signal.SIGINT)
        assert (process.wait(), process.stderr.read()) == (-signal.SIGINT, "")

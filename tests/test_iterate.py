"""bin/iterate.sh: what it would run, what it refuses, that it teaches, and that killing it changes nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from fidtools.datasets import toy
from fidtools.reader.aggregations import AGGREGATIONS

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "bin" / "iterate.sh"
HARDLY_ANY = {
    "K": "10", "N_CONTEXT": "3", "RETRIEVER_PASSAGES": "5",
    "READER_STEPS": "6", "READER_BATCH": "4", "READER_EVAL_EVERY": "3",
    "RETRIEVER_STEPS": "6", "RETRIEVER_BATCH": "4", "RETRIEVER_EVAL_EVERY": "3",
}  # fmt: skip


def world(folder: Path, train: int, dev: int, test: int) -> Path:
    """A toy world, with the first so many questions of each kind."""
    toy.write(folder, seed=7)
    for split, kept in {"train": train, "dev": dev, "test": test}.items():
        path = folder / f"{split}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    return folder


def environment(data: Path, run: Path, **settings: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "DATA": str(data), "RUN": str(run), "CUDA_VISIBLE_DEVICES": ""} | settings


def iterate(data: Path, run: Path, iterations: int, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), "toy", str(iterations)]
    return subprocess.run(command, env=environment(data, run, **settings), capture_output=True, text=True, check=False)


def test_wrong_usage_names_the_datasets(tmp_path):
    done = subprocess.run([str(SCRIPT), "moon", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "toy" in done.stderr
    assert done.stdout == ""


def test_dry_run_prints_the_loop_and_writes_nothing(tmp_path):
    done = iterate(tmp_path / "data", tmp_path / "run", 1, DRY_RUN="1", START="bert")
    stages = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("fidtools ")]
    read = ["train-reader", "read", "eval", "read", "eval"]
    find = ["embed", "retrieve", "retrieve", "retrieve"]
    taught = ["score-attn", "score-attn", "teacher-report", "train-retriever"]
    assert stages == [*find, *read, *taught, *find, *read, "eval", "eval", "report"]
    assert list(tmp_path.iterdir()) == []


def planned(tmp_path: Path, iterations: int, **settings: str) -> list[list[str]]:
    """The words of every command of fidtools that a dry run prints."""
    done = iterate(tmp_path / "data", tmp_path / "run", iterations, DRY_RUN="1", **settings)
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines() if line.startswith("fidtools ")]


def scoring(commands: list[list[str]]) -> list[tuple[str, str, str]]:
    """The stages between the rankings and the trained retriever: their command, input and output."""
    kinds = ("score-attn", "score-likelihood", "train-retriever")
    return [(c[1], c[2], c[-1]) for c in commands if c[1] in kinds or "--rescore" in c]


def test_the_attention_teaches_unless_told_otherwise(tmp_path):
    assert planned(tmp_path, 1) == planned(tmp_path, 1, TEACHER="attention")
    (train,) = (command for command in planned(tmp_path, 1) if command[1] == "train-retriever")
    assert train[train.index("--teacher") + 1] == "attention"


def test_a_mix_of_teachers_without_a_reader(tmp_path):
    commands = planned(tmp_path, 2, TEACHER="question-likelihood=1,bm25=0.5", READ="0", READER="")
    assert not [command for command in commands if command[1] in ("train-reader", "read", "score-attn")]
    assert scoring(commands) == [
        # BM25 has scored the passages that it found
        ("score-likelihood", "0/train.jsonl", "0/train.scored.jsonl"),
        ("score-likelihood", "0/dev.jsonl", "0/dev.scored.jsonl"),
        ("train-retriever", "0/train.scored.jsonl", "1/retriever"),
        ("score-likelihood", "1/train.jsonl", "1/train.question-likelihood.jsonl"),
        ("bm25", "1/train.question-likelihood.jsonl", "1/train.scored.jsonl"),
        ("score-likelihood", "1/dev.jsonl", "1/dev.question-likelihood.jsonl"),
        ("bm25", "1/dev.question-likelihood.jsonl", "1/dev.scored.jsonl"),
        ("train-retriever", "1/train.scored.jsonl", "2/retriever"),
    ]
    score = next(command for command in commands if command[1] == "score-likelihood")
    assert score[score.index("--reader") + 1] == "smollm"
    assert score[score.index("--of") + 1] == "question"
    train = next(command for command in commands if command[1] == "train-retriever")
    assert train[train.index("--teacher") + 1] == "question-likelihood=1,bm25=0.5"
    assert commands[-2][:5] == ["fidtools", "eval", "0/test.jsonl", "1/test.jsonl", "2/test.jsonl"]


def test_bm25_alone_teaches_by_the_scores_it_gave(tmp_path):
    (only,) = scoring(planned(tmp_path, 1, TEACHER="bm25", READ="0"))[:1]
    assert only == ("train-retriever", "0/train.jsonl", "1/retriever")


def test_a_reader_and_a_language_model_teach_together(tmp_path):
    commands = planned(tmp_path, 1, TEACHER="attention=1,likelihood=1", TEACHER_MODEL="some/model")
    assert scoring(commands)[:2] == [
        ("score-attn", "0/train.jsonl", "0/train.attention.jsonl"),
        ("score-likelihood", "0/train.attention.jsonl", "0/train.scored.jsonl"),
    ]
    score = next(command for command in commands if command[1] == "score-likelihood")
    assert score[score.index("--reader") + 1] == "some/model"
    assert score[score.index("--of") + 1] == "answer"


@pytest.mark.parametrize(
    ("teacher", "aggregate"),
    [
        ("attention=1,bm25=1", []),
        ("attention-value-norm=1,bm25=1", ["--aggregate", "attention-value-norm"]),
        ("attention-mass=1,attention-max-head=2", ["--aggregate", "all"]),
    ],
)
def test_every_score_of_attention_is_a_teacher_and_one_pass_writes_it(tmp_path, teacher, aggregate):
    commands = planned(tmp_path, 1, TEACHER=teacher)
    assert scoring(commands) == [
        ("score-attn", "0/train.jsonl", "0/train.scored.jsonl"),
        ("score-attn", "0/dev.jsonl", "0/dev.scored.jsonl"),
        ("train-retriever", "0/train.scored.jsonl", "1/retriever"),
    ]
    score = next(command for command in commands if command[1] == "score-attn")
    at = score.index("--aggregate") if "--aggregate" in score else 0
    assert score[at : at + 2] * bool(at) == aggregate


def test_the_loop_knows_the_aggregations_of_score_attn():
    text = (ROOT / "bin" / "teaching.sh").read_text(encoding="utf-8")
    listed = text.split("aggregations=(")[1].split(")")[0].split()
    assert tuple(listed) == AGGREGATIONS


def test_fused_rankings_use_the_weights_of_the_dev_questions(tmp_path):
    commands = planned(tmp_path, 1, TEACHER="bm25", READ="0", FUSE="1")
    fused = [command[2:] for command in commands if command[1] == "fuse"]
    weighted = [command for command in fused if "--tune" in command or "--tuned" in command]
    for folder, (tune, dev, test) in {"start": weighted[:3], "1": weighted[3:]}.items():
        assert tune == ["0/dev.jsonl", f"{folder}/dev.jsonl", "--tune", f"{tmp_path}/data/dev.jsonl",
                        "-o", f"{folder}/fusion.json"]  # fmt: skip
        for split, words in (("dev", dev), ("test", test)):
            assert words[:2] == [f"0/{split}.jsonl", f"{folder}/{split}.jsonl"]
            assert words[-4:] == ["--tuned", f"{folder}/fusion.json", "-o", f"{folder}/{split}.fused.jsonl"]


def test_passages_are_ranked_by_their_best_parts_too(tmp_path):
    commands = planned(tmp_path, 1, TEACHER="bm25", READ="0", PART_WORDS="40", K="7")
    whole = planned(tmp_path, 1, TEACHER="bm25", READ="0", K="7")
    passages = f"{tmp_path}/data/passages.jsonl"
    assert commands[0][1:] == ["chunk", passages, "--sentences", "--words", "40", "-o", "parts.jsonl"]
    assert [c[2] for c in commands if c[1] == "embed"] == [passages, "parts.jsonl"]
    assert [c[1:] for c in commands if "1/test" in c[-1] and c[1] != "eval"] == [
        *[[*c[1:-1], "1/test.whole.jsonl"] for c in whole if c[-1] == "1/test.jsonl"],
        ["retrieve", f"{tmp_path}/data/test.jsonl", "--retriever", "1/retriever", "--embeddings", "1/parts.npy",
         "-p", "parts.jsonl", "-k", "35", "--precision", "auto", "-o", "1/test.parts.jsonl"],
        ["collapse", "1/test.parts.jsonl", "-p", passages, "-k", "7", "-o", "1/test.best-parts.jsonl"],
        ["fuse", "1/test.whole.jsonl", "1/test.best-parts.jsonl", "--method", "zscores", "-k", "7",
         "-o", "1/test.jsonl"],
    ]  # fmt: skip


def test_where_rankings_are_fused_the_passages_of_both_are_scored(tmp_path):
    commands = planned(tmp_path, 2, TEACHER="question-likelihood=1,bm25=1", READ="0", FUSE="1")
    unweighted = [c[2:4] + c[-1:] for c in commands if c[1] == "fuse" and "--tune" not in c and "--tuned" not in c]
    assert unweighted == [
        [f"0/{split}.jsonl", f"{own}/{split}.jsonl", f"{i}/{split}.both.jsonl"]
        for i, own in enumerate(("start", "1"))
        for split in ("train", "dev")
    ]
    assert [stage for stage in scoring(commands) if "train" in stage[1]] == [
        ("score-likelihood", "0/train.both.jsonl", "0/train.question-likelihood.jsonl"),
        ("bm25", "0/train.question-likelihood.jsonl", "0/train.scored.jsonl"),
        ("train-retriever", "0/train.scored.jsonl", "1/retriever"),
        ("score-likelihood", "1/train.both.jsonl", "1/train.question-likelihood.jsonl"),
        ("bm25", "1/train.question-likelihood.jsonl", "1/train.scored.jsonl"),
        ("train-retriever", "1/train.scored.jsonl", "2/retriever"),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TEACHER": "oracle=1,bm25=1"}, "oracle is none of attention, likelihood, question-likelihood, bm25"),
        ({"READ": "0"}, "TEACHER=attention needs a reader"),
        ({"READ": "0", "TEACHER": "attention-mass=1"}, "TEACHER=attention-mass=1 needs a reader"),
        ({"TEACHER": "attention-norm=1"}, "other scores of attention: attention-max-token attention-outputs"),
        ({"READ": "no"}, "expected 0 or 1"),
        ({"FUSE": "1", "START": "bert"}, "needs START=bm25"),
    ],
)
def test_teachers_that_cannot_be_are_refused(tmp_path, settings, message):
    done = iterate(tmp_path / "data", tmp_path / "run", 1, DRY_RUN="1", **settings)
    assert done.returncode == 2
    assert message in done.stderr


def test_another_runs_passages_are_a_start_and_its_evaluations_are_not(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("train.jsonl", "dev.jsonl", "dev.json", "test.json.gz"):
        (old / name).touch()
    done = iterate(tmp_path / "data", tmp_path / "run", 0, DRY_RUN="1", START=str(old))
    starts = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("fidtools convert")]
    assert starts == [str(old / name) for name in ("train.jsonl", "dev.jsonl", "test.json.gz")]
    (old / "train.jsonl").unlink()
    done = iterate(tmp_path / "data", tmp_path / "run", 0, DRY_RUN="1", START=str(old))
    assert done.returncode == 1
    assert "nor a folder with train.jsonl or train.json" in done.stderr


def test_a_run_goes_on_without_the_folder_it_began_with(tmp_path):
    data, old = world(tmp_path / "data", 4, 2, 2), tmp_path / "old"
    old.mkdir()
    for name in ("train", "dev", "test"):
        (old / f"{name}.jsonl").write_bytes((data / f"{name}.jsonl").read_bytes())
    begun = iterate(data, tmp_path / "run", 0, **HARDLY_ANY, START=str(old), READER="/nowhere")
    assert "fidtools convert" in begun.stderr
    shutil.rmtree(old)
    again = iterate(data, tmp_path / "run", 0, **HARDLY_ANY, START=str(old), READER="/nowhere")
    assert again.stderr.splitlines()[:3] == [f"have 0/{name}.jsonl" for name in ("train", "dev", "test")]


def test_bm25_is_a_word_also_where_a_folder_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "bm25").mkdir()
    monkeypatch.chdir(tmp_path)
    done = iterate(tmp_path / "data", tmp_path / "a run", 0, DRY_RUN="1", START="bm25")
    assert done.stdout.startswith(f"mkdir -p {tmp_path}/a\\ run && cd {tmp_path}/a\\ run && mkdir -p 0\nfidtools bm25 ")


def test_a_run_is_not_continued_with_other_settings(tmp_path):
    data = world(tmp_path / "data", 4, 2, 2)
    run = tmp_path / "run"
    run.mkdir()
    iterate(data, run, 0, **HARDLY_ANY, READER="/nowhere")
    again = iterate(data, run, 0, **HARDLY_ANY | {"K": "11"}, READER="/nowhere")
    assert again.returncode == 2
    assert "> K=11" in again.stderr
    assert "was started with other settings" in again.stderr


def test_a_value_in_an_option_may_have_blanks_and_nothing_in_it_is_run(tmp_path):
    option = "--dropout 0 --question-prefix 'my  question:' --note \"$(touch evil)\""
    done = iterate(tmp_path / "data", tmp_path / "run", 0, DRY_RUN="1", READER_OPTIONS=option)
    line = next(line for line in done.stdout.splitlines() if line.startswith("fidtools train-reader "))
    words = shlex.split(line)
    at = words.index("--dropout")
    assert words[at : at + 6] == ["--dropout", "0", "--question-prefix", "my  question:", "--note", "$(touch evil)"]


def test_an_option_without_its_closing_quote_is_refused(tmp_path):
    done = iterate(tmp_path / "data", tmp_path / "run", 0, DRY_RUN="1", READ_OPTIONS="--beams '3")
    assert done.returncode == 2
    assert 'cannot split "--beams \'3" into words: no closing quotation' in done.stderr
    assert "setting READ_OPTIONS: not a list of options" in done.stderr


def test_the_time_of_each_stage_is_kept_and_a_skipped_stage_is_not_written_again(tmp_path):
    data, run = world(tmp_path / "data", 4, 2, 2), tmp_path / "run"
    done = iterate(data, run, 0, **HARDLY_ANY, READER="/nowhere")
    assert done.returncode == 2
    assert "  0/train.jsonl took " in done.stderr
    assert "  0/reader failed after " in done.stderr
    again = iterate(data, run, 0, **HARDLY_ANY, READER="/nowhere")
    assert again.returncode == 2
    stages = [orjson.loads(line) for line in (run / "stages.jsonl").read_bytes().splitlines()]
    begun = [("0/train.jsonl", 0), ("0/dev.jsonl", 0), ("0/test.jsonl", 0), ("0/reader", 2), ("0/reader", 2)]
    assert [(stage["stage"], stage["status"]) for stage in stages] == begun
    assert [list(stage) for stage in stages] == [["stage", "command", "seconds", "started", "status"]] * 5
    assert stages[0]["command"].startswith(f"fidtools bm25 {data}/train.jsonl -p ")
    assert all(stage["seconds"] >= 0 and datetime.fromisoformat(stage["started"]).tzinfo for stage in stages)


def test_a_checkout_without_an_environment_makes_one_and_says_so(tmp_path):
    """With a stand-in for bin/setup, whose fidtools only prints its arguments and fails."""
    for name in ("bin", "examples/toy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    fidtools = tmp_path / "fidtools"
    fidtools.write_text('#!/bin/sh\necho "called: $*"\nexit 3\n')
    fidtools.chmod(0o755)
    (tmp_path / "bin" / "setup").write_text("#!/bin/sh\nmkdir -p .venv/bin && mv fidtools .venv/bin\n")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "python3").symlink_to(sys.executable)
    environment = {"PATH": f"{tmp_path / 'path'}:/usr/bin:/bin"}
    command = [str(tmp_path / "bin" / "iterate.sh"), "toy", "0"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "There is no .venv yet: bin/setup installs fidtools into it." in done.stderr
    assert done.stdout == f"called: fetch toy -o {tmp_path}/data/toy\n"


@pytest.mark.slow
def test_what_a_dry_run_prints_can_be_pasted(tmp_path):
    data, run = world(tmp_path / "data", 4, 2, 2), tmp_path / "a run"
    printed = iterate(data, run, 0, **HARDLY_ANY, DRY_RUN="1").stdout
    pasted = subprocess.run(["bash", "-eu", "-c", printed], env=environment(data, run), capture_output=True, text=True)
    assert pasted.returncode == 0, pasted.stderr[-3000:]
    assert (run / "0" / "test.json").exists()
    assert "0/test.answered.jsonl" in pasted.stdout


def test_fewer_passages_may_teach_than_are_retrieved(tmp_path):
    data, run = world(tmp_path / "data", 4, 2, 2), tmp_path / "run"
    done = iterate(data, run, 1, **HARDLY_ANY)
    assert done.returncode == 0, done.stderr[-3000:]
    report = (run / "0" / "teacher-report.txt").read_text().splitlines()
    assert report[1].split() == ["passages", "per", "question", HARDLY_ANY["RETRIEVER_PASSAGES"] + ".0"]
    again = iterate(data, run, 1, **HARDLY_ANY)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout == done.stdout
    fewer = iterate(data, run, 0, **HARDLY_ANY)
    assert f"iterate.sh: {run} has iterations up to 1, not only to 0: the tables show all of them\n" in fewer.stderr
    assert (fewer.returncode, fewer.stdout) == (0, done.stdout)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (None, ["--teacher-temperature", "3"]),  # as examples/toy/settings.sh has it
        ("--dropout 0 --teacher-temperature=0.5", ["--teacher-temperature=0.5"]),
        ("--dropout 0", []),
        ("--preset atlas --steps 3", ["--preset", "atlas"]),
        ("--preset=replug --source-passage cap", ["--preset=replug", "--source-passage", "cap"]),
        ("--probabilities --in-batch --source-passage=drop", ["--probabilities", "--source-passage=drop"]),
    ],
)
def test_the_teachers_report_has_the_targets_of_the_training(tmp_path, options, words):
    commands = planned(tmp_path, 1, **({} if options is None else {"RETRIEVER_OPTIONS": options}))
    (report,) = (command for command in commands if command[1] == "teacher-report")
    assert report == [
        "fidtools", "teacher-report", "0/dev.scored.jsonl", "--teacher", "attention", "--n-passages", "20", *words,
        "-o", "0/teacher-report.txt",
    ]  # fmt: skip


def test_an_absolute_path_keeps_the_name_of_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    given = ["link", "link/", "link/file", "new", "a b", ".", "link/.."]
    script = f'source {shlex.quote(str(SCRIPT.parent / "lib.sh"))}; for path in "$@"; do absolute "$path"; done'
    shown = subprocess.run(
        ["bash", "-euc", script, "-", *given], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    here = tmp_path.resolve()
    expected = [here / "link", here / "link", here / "folder" / "file", here / "new", here / "a b", here, here]
    assert shown.stdout.splitlines() == [str(path) for path in expected]


@pytest.mark.slow  # .ci/run looks at the table of the README's run
def test_two_iterations_teach_the_retriever(tmp_path):
    """A small run. The untouched retriever finds 5 % at rank 1: the bar is far away without a working distillation."""
    data, run = world(tmp_path / "data", 600, 40, 200), tmp_path / "run"
    steps = {"READER_STEPS": "50", "READER_EVAL_EVERY": "50", "RETRIEVER_STEPS": "60", "RETRIEVER_EVAL_EVERY": "60"}
    done = iterate(data, run, 2, **steps)
    assert done.returncode == 0, done.stderr[-3000:]
    table = orjson.loads((run / "table.test.json").read_bytes())
    recall = [file["metrics"]["R@1"]["value"] for file in table["files"]]
    assert recall[2] >= recall[0] + 10


def rankings(run: Path) -> dict[str, bytes]:
    names = [
        "table.dev.json",
        "table.test.json",
        *[f"{i}/{s}.jsonl" for i in range(3) for s in ("train", "dev", "test")],
    ]
    return {name: (run / name).read_bytes() for name in names}


def run_killing_every_stage(data: Path, run: Path, **settings: str) -> int:
    """Start the script again and again; kill each stage once, somewhere in its middle. Returns how often."""
    killed: set[str] = set()
    while True:
        process = subprocess.Popen(
            [str(SCRIPT), "toy", "2"], env=environment(data, run, **settings), start_new_session=True,
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("$ ") and line not in killed:
                killed.add(line)
                time.sleep(1 + len(killed) % 5)
                os.killpg(process.pid, signal.SIGKILL)
                break
        process.stderr.close()
        if process.wait() == 0:
            return len(killed)


@pytest.mark.slow
def test_killed_in_every_stage_the_end_is_the_same(tmp_path):
    data = world(tmp_path / "data", 24, 8, 8)
    undisturbed = iterate(data, tmp_path / "whole", 2, **HARDLY_ANY)
    assert undisturbed.returncode == 0, undisturbed.stderr[-3000:]
    stages = run_killing_every_stage(data, tmp_path / "killed", **HARDLY_ANY)
    assert stages > 25
    assert rankings(tmp_path / "killed") == rankings(tmp_path / "whole")

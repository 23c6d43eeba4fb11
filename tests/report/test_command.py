"""`fidtools report` as its users see it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from fidtools.cli import run
from fidtools.data.jsonl import write_lines
from tests.report.conftest import HOSTILE
from tests.toy_models import READER


def page_of(*arguments: object, at: Path) -> str:
    assert run(["report", *map(str, arguments), "-o", str(at)]) == 0
    return at.read_text(encoding="utf-8")


def test_the_page_says_what_helped_and_escapes_what_it_says(run_folder, tmp_path):
    page = page_of(run_folder, at=tmp_path / "report.html")
    assert "No step helped: EM of iteration 1 is 33.3 %, before it was 66.7 %." in page
    assert "3 questions iteration 1 lost against BM25" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;document.title = &#34;hacked&#34;&lt;/script&gt;" in page


def test_the_page_forbids_every_connection_and_all_scripts_but_its_own(run_folder, tmp_path):
    page = page_of(run_folder, at=tmp_path / "report.html")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src &#39;none&#39;" in policy or "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert not re.search(r'(?:src|href)="(?!#|data:,)', page.partition("<script>")[0])


def test_options_of_the_runs_eval_that_a_report_does_not_apply_are_named(run_folder, tmp_path, capsys):
    settings = run_folder / "settings.txt"
    page_of(run_folder, at=tmp_path / "1.html")
    assert "does not apply" not in capsys.readouterr().err
    settings.write_text("EVAL_OPTIONS=--profile triviaqa --regex --gold=evidence -m EM\n")
    page_of(run_folder, at=tmp_path / "2.html")
    named = "EVAL_OPTIONS of the run: report does not apply --regex, --gold: its numbers may differ\n"
    assert named in capsys.readouterr().err


def test_the_same_input_gives_the_same_page(run_folder, tmp_path):
    first = page_of(run_folder, at=tmp_path / "1.html")
    assert first == page_of(run_folder, at=tmp_path / "2.html")


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_a_report_in_its_run_is_written_again(run_folder, name):
    path = run_folder / name
    arguments = ["report", str(run_folder), "-o", str(path), *(["--json"] if name.endswith("json") else [])]
    assert run(arguments) == 0
    first = path.read_bytes()
    assert run(arguments) == 0
    assert path.read_bytes() == first
    assert run(["report", str(run_folder), "-o", str(run_folder / "0" / "test.answered.jsonl")]) == 2


def test_json_has_the_numbers_of_the_page(run_folder, capsys):
    assert run(["report", str(run_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["systems"][1]["metrics"]["EM"]["value"] == pytest.approx(100 / 3)
    assert found["changes"][0]["lost"] == 3


def test_systems_with_other_answers_are_said(run_folder, tmp_path, capsys):
    lines = [json.loads(line) for line in (run_folder / "1" / "test.answered.jsonl").read_text().splitlines()]
    write_lines(tmp_path / "b.jsonl", [lines[0] | {"answers": ["Oslo"]}, *lines[1:]])
    assert run(["report", str(run_folder / "0" / "test.answered.jsonl"), f"{tmp_path}/b.jsonl", "--json"]) == 0
    problem = "1 questions have other answers or gold in"
    found = capsys.readouterr()
    assert problem in found.err
    assert problem in json.loads(found.out)["systems"][0]["notes"][-1]


@pytest.mark.parametrize(("condition", "code"), [("EM<30", 0), ("EM<40", 1), ("R@3<40", 0), ("R@3<=70", 1)])
def test_conditions_are_about_the_last_system_and_the_report_is_written_all_the_same(
    run_folder, tmp_path, capsys, condition, code
):
    out = tmp_path / "report.json"
    assert run(["report", str(run_folder), "--json", "-o", str(out), "--fail-if", condition]) == code
    assert json.loads(out.read_text())["questions"] == 6
    said = capsys.readouterr().err
    assert (f": {condition}\n" in said) == bool(code)


@pytest.mark.parametrize(
    ("condition", "warns"), [("EM<0.5", True), ("R@3<0.7", True), ("EM<0", False), ("EM<1", False)]
)
def test_a_share_in_the_place_of_a_percentage_is_said(run_folder, tmp_path, capsys, condition, warns):
    assert run(["report", str(run_folder), "--json", "-o", str(tmp_path / "r.json"), "--fail-if", condition]) == 0
    name, _, bound = condition.partition("<")
    said = f"--fail-if {condition}: {name} is in percent, so that is {bound} %"
    assert (said in capsys.readouterr().err) == warns


def test_a_condition_on_what_was_not_measured_is_wrong_usage(run_folder, tmp_path, capsys):
    assert run(["report", str(run_folder), "--fail-if", "R@20<80", "-o", str(tmp_path / "r.html")]) == 2
    assert "R@20 was not measured" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_assets_lie_beside_the_page(run_folder, tmp_path, capsys):
    inside = page_of(run_folder, at=tmp_path / "inside.html")
    page = page_of(run_folder, "--assets", tmp_path / "my assets", at=tmp_path / "report.html")
    assert 'data-assets="my%20assets"' in page
    assert 'id="block-i0"' in inside
    assert 'id="block-i0"' not in page
    assert sorted(path.name for path in (tmp_path / "my assets").iterdir()) == ["i0.js", "q0.js", "t0.js"]
    assert run(["report", str(run_folder), "--assets", str(tmp_path / "a")]) == 2
    assert "give -o report.html" in capsys.readouterr().err


def test_attention_needs_a_reader(run_folder, tmp_path, capsys):
    files = [str(run_folder / str(i) / "test.answered.jsonl") for i in (0, 1)]
    assert run(["report", *files, "--attention", "2", "-o", str(tmp_path / "r.html")]) == 2
    assert "give one with --reader" in capsys.readouterr().err
    page = page_of(*files, "--attention", 2, "--reader", READER, at=tmp_path / "r.html")
    assert re.findall(r'id="block-(a[^"]*)"', page) == ["a0-1", "a0-2", "a1-1", "a1-2"]


def test_too_much_attention_is_refused_with_what_fits(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fidtools.report.building.MOST_ATTENTION", 1000)
    for iteration in (0, 1):
        shutil.rmtree(run_folder / str(iteration) / "reader")
        shutil.copytree(READER, run_folder / str(iteration) / "reader")
    assert run(["report", str(run_folder), "--attention", "4", "-o", str(tmp_path / "r.html")]) == 1
    assert "--attention 1 fits; or give fewer --attention-passages, or --assets FOLDER" in capsys.readouterr().err


def test_the_profile_is_the_one_the_run_was_evaluated_with(run_folder, tmp_path):
    out = tmp_path / "r.json"
    assert run(["report", str(run_folder), "--json", "-o", str(out)]) == 0
    assert json.loads(out.read_text())["systems"][0]["metrics"]["EM"]["by"] == "TriviaQA's normalisation"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b'{"question": 3}\n', "'question'"),
        (b"{broken\n", "malformed JSON"),
    ],
)
def test_bad_files_are_named(tmp_path, capsys, content, said):
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(content)
    assert run(["report", str(bad), "-o", str(tmp_path / "r.html")]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert str(bad) in err
    assert not (tmp_path / "r.html").exists()


def test_a_page_does_not_replace_what_is_no_page(run_folder, tmp_path, capsys):
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"id": "1"}\n')
    assert run(["report", str(run_folder), "-o", str(notes)]) == 2
    assert "exists, and is no report" in capsys.readouterr().err
    assert notes.read_text() == '{"id": "1"}\n'
    page = tmp_path / "page.html"
    assert [run(["report", str(run_folder), "-o", str(page)]) for _ in range(2)] == [0, 0]


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert run(["report", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl: no such file or directory" in capsys.readouterr().err


def test_records_of_training_that_are_not_ours_do_not_end_the_report(run_folder, tmp_path, capsys):
    folder = run_folder / "1" / "retriever"
    folder.mkdir(exist_ok=True)
    (folder / "training.json").write_text('{"start": "x", "result": [1], "settings": {"teacher_temperature": "a"}}')
    lines = ['{"step": 1, "loss": 2.0, "lr": 0.1}', '{"loss": 2.0, "lr": 0.1}', '{"step": 2, "loss": "x", "lr": 0.1}']
    (folder / "log.jsonl").write_text("\n".join([*lines, '{"step": 3, "lo']))
    assert run(["report", str(run_folder), "--json", "-o", str(tmp_path / "report.json")]) == 0
    written = json.loads((tmp_path / "report.json").read_text())
    (section,) = (each for each in written["training"] if each["model"] == "retriever")
    assert (section["curve"], section["result"], section["fingerprint"]) == ([[1, 2.0, None]], {}, {})
    assert "retriever/log.jsonl:4: malformed JSON" in capsys.readouterr().err

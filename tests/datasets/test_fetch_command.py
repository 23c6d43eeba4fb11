from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fidtools.cli import cli
from fidtools.errors import DataError, UsageError
from tests.datasets import published


def run(*arguments, catch=True):
    return CliRunner().invoke(cli, ["fetch", *map(str, arguments)], catch_exceptions=catch)


@pytest.fixture
def squad(site, shared, tmp_path):
    """A server with SQuAD's two files, and the table that says what they are."""
    files = published.squad(shared("data/squad-open/small"))
    site.files |= files
    corrections = tmp_path / "sources.json"
    corrections.write_text(json.dumps({name: {"size": len(data), "sha256": None} for name, data in files.items()}))
    return ["squad", "-o", tmp_path / "squad", "--mirror", site.url, "--sources", corrections]


def test_fetch_writes_the_folder_and_keeps_the_downloads_beside_it(squad, tmp_path):
    done = run(*squad)
    assert (done.exit_code, done.stdout) == (0, "")
    assert {path.name for path in (tmp_path / "squad").iterdir()} == {
        "passages.jsonl",
        "train.jsonl",
        "dev.jsonl",
        "test.jsonl",
        "dataset.json",
    }
    assert (tmp_path / "downloads" / "squad-dev-v1.1.json").exists()


def test_what_is_there_is_not_fetched_or_written_again(squad, site, tmp_path):
    run(*squad)
    asked, written = len(site.requests), (tmp_path / "squad" / "train.jsonl").stat().st_mtime_ns
    assert run(*squad).exit_code == 0
    assert (len(site.requests), (tmp_path / "squad" / "train.jsonl").stat().st_mtime_ns) == (asked, written)
    before = (tmp_path / "squad" / "train.jsonl").read_bytes()
    assert run(*squad, "--force").exit_code == 0
    assert len(site.requests) == asked
    assert (tmp_path / "squad" / "train.jsonl").read_bytes() == before


def test_a_failure_leaves_no_data_set_and_the_next_run_completes_it(squad, site, tmp_path):
    site.trouble["squad-dev-v1.1.json"] = ["404"]
    assert run(*squad).exit_code != 0
    assert not (tmp_path / "squad").exists()
    assert run(*squad).exit_code == 0
    assert len(site.asked("squad-train-v1.1.json")) == 1


def test_dry_run_shows_sizes_and_writes_nothing(tmp_path):
    done = run("nq", "-o", tmp_path / "nq", "--dry-run")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[:3] for line in lines[:4]] == [
        ["NQ-open.train.jsonl", "8.5 MB", "to fetch"],
        ["NQ-open.dev.jsonl", "391.3 kB", "to fetch"],
        ["dataindex.tar.gz", "size unknown", "to fetch"],
        ["psgs_w100.tsv.gz", "4.7 GB", "to fetch"],
    ]
    assert lines[4:] == [
        [f"downloads: 4.7 GB to {tmp_path}/downloads"],
        [f"data set: about 13.8 GB in {tmp_path}/nq"],
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_file_in_the_place_of_the_downloads_is_no_folder(more, tmp_path):
    (tmp_path / "downloads").write_text("mine")
    with pytest.raises(NotADirectoryError) as error:
        run("squad", "-o", tmp_path / "squad", "--downloads", tmp_path / "downloads", *more, catch=False)
    assert error.value.filename == str(tmp_path / "downloads")
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]


def test_toy_is_generated_and_the_seed_decides(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("toy", "-o", tmp_path / name, "--seed", seed).exit_code == 0
    texts = [(tmp_path / name / "passages.jsonl").read_bytes() for name in "abc"]
    assert texts[0] == texts[1] != texts[2]
    card = json.loads((tmp_path / "a" / "dataset.json").read_text())
    assert card["questions"]["train"] == len((tmp_path / "a" / "train.jsonl").read_text().splitlines())
    assert card["notes"] == {"seed": 3}


def test_another_seed_or_data_set_in_the_folder_is_refused(tmp_path):
    folder = tmp_path / "toy"
    assert run("toy", "-o", folder, "--seed", 3).exit_code == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for arguments, problem in (
        (("toy", "--seed", 4), "was made with --seed 3, not 4"),
        (("toy",), "was made with --seed 3, not 0"),
        (("squad",), "holds the data set toy, not squad"),
    ):
        with pytest.raises(UsageError) as error:
            run(*arguments, "-o", folder, catch=False)
        assert error.value.message == f"{folder} {problem}"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert run("toy", "-o", folder, "--seed", 3).exit_code == 0
    assert run("toy", "-o", folder, "--seed", 4, "--force").exit_code == 0
    assert json.loads((folder / "dataset.json").read_text())["notes"] == {"seed": 4}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", "not a record of `fetch`"),
        ("[1]", "not a record of `fetch`"),
        ('{"dataset": "toy", "notes": {"seed": 0}}', "has no hashes of files, which `fetch` writes"),
    ],
)
def test_a_record_that_describes_no_files_is_refused(content, problem, tmp_path):
    folder = tmp_path / "toy"
    run("toy", "-o", folder)
    (folder / "dataset.json").write_text(content)
    with pytest.raises(DataError) as error:
        run("toy", "-o", folder, catch=False)
    assert error.value.message == f"{folder}/dataset.json: {problem}"
    assert run("toy", "-o", folder, "--force").exit_code == 0
    assert run("toy", "-o", folder).exit_code == 0


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def edited(path):
    path.write_bytes(path.read_bytes().replace(b"e", b"a", 1))


@pytest.mark.parametrize("name", ["passages", "train", "dev", "test"])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (cut, "{less} bytes instead of {size}"),
        (edited, "not the file that dataset.json describes: its SHA-256 differs"),
        (Path.unlink, "missing, although dataset.json describes it"),
    ],
)
def test_a_damaged_file_of_a_data_set_is_named(name, damage, problem, tmp_path):
    run("toy", "-o", tmp_path / "toy")
    path = tmp_path / "toy" / f"{name}.jsonl"
    size = path.stat().st_size
    damage(path)
    with pytest.raises(DataError) as error:
        run("toy", "-o", tmp_path / "toy", catch=False)
    assert error.value.message == f"{path}: {problem.format(less=size - 1, size=size)}"
    assert run("toy", "-o", tmp_path / "toy", "--force").exit_code == 0
    assert path.stat().st_size == size


def test_a_large_file_is_compared_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("fidtools.datasets.recorded.HASHED_BYTES", 10)
    run("toy", "-o", tmp_path / "toy")
    card = json.loads((tmp_path / "toy" / "dataset.json").read_text())
    files = {"passages.jsonl", "train.jsonl", "dev.jsonl", "test.jsonl"}
    assert (set(card["bytes"]), set(card["sha256"])) == (files, files - {"passages.jsonl"})
    edited(tmp_path / "toy" / "passages.jsonl")
    assert run("toy", "-o", tmp_path / "toy").exit_code == 0


def test_a_compressed_file_of_a_data_set_is_no_damage(tmp_path):
    run("toy", "-o", tmp_path / "toy")
    (tmp_path / "toy" / "train.jsonl").rename(tmp_path / "toy" / "train.jsonl.gz")
    assert run("toy", "-o", tmp_path / "toy").exit_code == 0


def test_an_unknown_data_set_names_those_there_are():
    done = run("hotpotqa")
    assert done.exit_code == 2
    assert "'narrativeqa-summaries', 'fever', 'squad', 'toy'" in done.output


def test_a_page_in_the_place_of_a_file_says_what_to_do(site, tmp_path):
    """Of files without a published hash, the page of a proxy is recorded like any other first download."""
    names = ("documents", "qaps", "summaries")
    site.files |= {f"narrativeqa-{name}.csv": b"<html>Please log in</html>" for name in names}
    for _ in range(2):
        done = run("narrativeqa-summaries", "-o", tmp_path / "nqa", "--mirror", site.url)
        assert isinstance(done.exception, DataError) or done.exit_code == 1
    with pytest.raises(DataError, match="remove it and run this again, which fetches it again"):
        run("narrativeqa-summaries", "-o", tmp_path / "nqa", "--mirror", site.url, catch=False)

"""Option values outside what makes sense: a usage error before any work, in every command.

The table is generated from the program's own commands and options. A new command needs a line in `COMMANDS`: a command
line that works, from which one option at a time is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from fidtools import cli
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.data.jsonl import write_lines
from tests.commands.test_bad_input import GOOD, PASSAGE, READER, RETRIEVER

TRAINING = ["--steps", "1", "--batch", "1"]
SEARCH = ["--retriever", RETRIEVER, "--embeddings", "p.npy", "-p", "passages.jsonl"]
COMMANDS: dict[str, list[str]] = {
    "fetch": ["toy", "-o", "toy"],
    "chunk": ["passages.jsonl"],
    "convert data": ["good.jsonl"],
    "generate-questions": ["passages.jsonl", "--model", READER],
    "convert reader": [READER, "-o", "converted"],
    "convert retriever": [RETRIEVER, "-o", "converted"],
    "convert dpr": [RETRIEVER, RETRIEVER, "-o", "converted"],
    "convert onnx": [RETRIEVER, "-o", "converted"],
    "bm25": ["good.jsonl", "-p", "passages.jsonl"],
    "embed": ["passages.jsonl", "--retriever", RETRIEVER, "-o", "out.npy"],
    "index": ["p.npy", "-o", "ix", "--type", "flat"],
    "retrieve": ["good.jsonl", *SEARCH],
    "fuse": ["good.jsonl", "good.jsonl"],
    "collapse": ["good.jsonl", "-p", "passages.jsonl"],
    "search": ["Where was Ada born?", "--bm25", "-p", "passages.jsonl"],
    "serve": ["--bm25", "-p", "passages.jsonl"],
    "train-reader": ["good.jsonl", "--reader", READER, "-o", "trained", *TRAINING],
    "read": ["good.jsonl", "--reader", READER],
    "score-attn": ["good.jsonl", "--reader", READER],
    "score-likelihood": ["good.jsonl", "--reader", READER],
    "train-teacher": ["good.jsonl", "--teacher", RETRIEVER, "-o", "trained", *TRAINING],
    "score-cross": ["good.jsonl", "--teacher", RETRIEVER],
    "teacher-report": ["good.jsonl"],
    "train-retriever": ["good.jsonl", "--retriever", RETRIEVER, "-o", "trained", *TRAINING],
    "eval": ["good.jsonl"],
    "compare": ["good.jsonl", "good.jsonl", "--resamples", "100"],
    "report": ["good.jsonl"],
    "plan": [],
    "doctor": [],
    "validate": ["good.jsonl"],
}
NONSENSE = ["nan", "-1", "1e400", str(10**18), "", "one", "1_0", "５"]
SLOW = {"plan", "serve"}  # measures the machine for ten seconds; does not end
USAGE = 2


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands of the program that do something, by their words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


EVERY = dict(commands(cli.cli))


def options(wanted: Callable[[click.Option], bool]) -> list[tuple[str, str]]:
    """The options of all commands that are of some kind, as (command, option)."""
    return [
        (name, max(option.opts, key=len))
        for name, command in EVERY.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag and not option.count and wanted(option)
    ]


def is_number(option: click.Option) -> bool:
    return isinstance(option.type, click.IntRange | click.FloatRange | type(click.INT) | type(click.FLOAT))


def is_path(option: click.Option) -> bool:
    return isinstance(option.type, paths.Named | click.Path)


def type_of(command: str, option: str) -> click.ParamType:
    return next(found.type for found in EVERY[command].params if option in found.opts)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    write_lines(folder / "passages.jsonl", [PASSAGE | {"id": f"p{i}"} for i in range(5)])
    write_lines(folder / "good.jsonl", [GOOD, GOOD | {"id": "q2"}])
    (folder / "folder").mkdir()
    made = ["embed", str(folder / "passages.jsonl"), "--retriever", RETRIEVER, "-o", str(folder / "p.npy"), "-q"]
    assert cli.run(made) == 0
    return folder


@pytest.fixture
def run(prepared, tmp_path, monkeypatch, capfd) -> Callable[..., tuple[int, str]]:
    """Run a command in a folder of its own; returns its exit code and what it said."""
    for file in prepared.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)

    def with_(command: str, *changed: str) -> tuple[int, str]:
        code = cli.run([*command.split(), *COMMANDS[command], *changed])
        said = capfd.readouterr().err
        assert code != cli.BUG, said
        assert "Traceback" not in said
        return code, said

    return with_


def test_every_command_of_the_program_is_tried_here():
    assert EVERY.keys() == COMMANDS.keys()


def test_every_number_has_a_range_and_every_path_a_type():
    unbounded = options(lambda option: is_number(option) and not isinstance(option.type, values.Count | values.Number))
    assert not unbounded
    paths = [(name, p.name) for name, command in EVERY.items() for p in command.params if type(p.type) is click.Path]
    assert paths == [("fetch", "sources")]  # which click itself checks: they must exist
    named = {"output", "changes", "per_question", "index", "dev", "questions", "passages", "verify", "embeddings"}
    assert not options(lambda option: option.name in named and not is_number(option) and not is_path(option))


@pytest.mark.parametrize(("command", "option"), options(is_number))
def test_a_number_that_makes_no_sense_is_a_usage_error(command, option, run):
    for value in NONSENSE:
        limit = getattr(type_of(command, option), "most", 0)
        if value == str(10**18) and limit >= 10**18:
            continue
        code, said = run(command, option, value)
        assert code == USAGE, (value, said)
        assert option in said
        assert not set(Path().iterdir()) - {Path(name) for name in (*INPUTS, "toy")}


INPUTS = ["passages.jsonl", "good.jsonl", "folder", "p.npy", "p.ids", "p.json", "passages.jsonl.rows"]


@pytest.mark.parametrize(("command", "option"), [each for each in options(is_number) if each[0] not in SLOW])
def test_zero_and_the_largest_number_work_or_are_refused(command, option, run):
    kind = type_of(command, option)
    most = min(limit for limit in (getattr(kind, "max", None), getattr(kind, "most", None)) if limit is not None)
    lasting = command.startswith("train-") or option in ("--jobs", "--resamples")
    for value in ["0"] if lasting else ["0", str(most)]:
        code, said = run(command, option, value)
        assert code in (0, 1, USAGE), said


@pytest.mark.parametrize(("command", "option"), options(is_path))
def test_an_empty_name_is_a_usage_error(command, option, run):
    code, said = run(command, option, "")
    assert code == USAGE, said
    assert option in said


@pytest.mark.parametrize(("command", "option"), [each for each in options(is_path) if each[0] not in SLOW])
@pytest.mark.parametrize("value", [".", "..", "/", "folder"])
def test_a_folder_is_refused_where_it_cannot_be_meant(command, option, value, run):
    code, said = run(command, option, value)
    if isinstance(type_of(command, option), paths.OutputFile) and not isinstance(
        type_of(command, option), paths.OutputData
    ):
        assert code == USAGE, said
    if isinstance(type_of(command, option), paths.OutputFolder) and value != "folder":
        assert code == USAGE, said
    if isinstance(type_of(command, option), paths.InputFile) and not type_of(command, option).folders:
        assert (code, said.count("\n")) == (1, 1), said
        assert "is a directory" in said
    assert code in (0, 1, USAGE), said


@pytest.mark.parametrize(("command", "option"), options(lambda option: isinstance(option.type, paths.OutputFolder)))
def test_a_folder_is_not_written_to_standard_output(command, option, run):
    code, said = run(command, option, "-")
    assert (code, "a folder cannot be written to standard output" in said) == (USAGE, True)


@pytest.mark.parametrize(("command", "option"), options(lambda option: isinstance(option.type, paths.ModelFolder)))
def test_the_name_of_a_models_folder_is_utf8(command, option, run):
    for name in ("\udce9", "\udce9/model"):
        code, said = run(command, option, name)
        assert (code, "the name of a model's folder must be UTF-8" in said) == (USAGE, True)


@pytest.mark.parametrize(("command", "option"), options(lambda option: isinstance(option.type, paths.Model)))
def test_a_name_that_no_model_can_have(command, option, run):
    problems = {
        "good.jsonl": "good.jsonl: a model must be a folder, this is a file",
        "folder": "folder: not a model folder: it has no config.json",
        "./none": "./none: no such model folder",
    }
    for name, problem in problems.items():
        code, said = run(command, option, name)
        assert (code, said.startswith(f"fidtools: {problem}")) == (USAGE, True)
        assert not Path("passages.jsonl.bm25-tantivy").exists()


@pytest.mark.parametrize(("command", "option"), options(lambda option: isinstance(option.type, paths.EmbeddingsFile)))
def test_embeddings_have_their_suffix(command, option, run):
    code, said = run(command, option, "good.jsonl")
    assert (code, "good.jsonl: embeddings are read from a .npy file\n  fidtools convert" in said) == (USAGE, True)


@pytest.mark.parametrize(("command", "option"), options(lambda option: type(option.type) is type(click.STRING)))
def test_a_text_is_utf8(command, option, run):
    code, said = run(command, option, "caf\udce9", *["b"] * (option == "--agreement"))
    assert (code, r"'caf\udce9' is not UTF-8" in said, option in said) == (USAGE, True, True)


@pytest.mark.parametrize("name", ["", "a=b", "a,b", " a"])
def test_a_score_is_named_as_a_teacher_can_be(name, run):
    code, said = run("score-cross", "--name", name)
    assert code == USAGE
    assert "for --teacher" in said


@pytest.mark.parametrize(("command", "option"), [each for each in options(is_path) if each[0] not in SLOW])
def test_a_file_in_a_folder_that_does_not_exist(command, option, run):
    kind = type_of(command, option)
    if isinstance(kind, paths.OutputFolder):  # is made with the folders above it
        assert kind.convert("missing/name.npy", None, None) is not None
        return
    code, said = run(command, option, "./missing/name.npy")
    if isinstance(kind, paths.OutputFile) and not isinstance(kind, paths.OutputData):
        assert code == USAGE
        assert "'./missing' does not exist" in said
    if isinstance(kind, paths.InputFile):
        assert (code, "./missing/name.npy: no such file or directory" in said) == (1, True)
    assert code in (0, 1, USAGE), said


@pytest.mark.parametrize("engine", ["tantivy", "lucene"])
def test_k_beyond_the_corpus_lists_all_of_it(engine, run):
    if engine == "lucene":
        pytest.importorskip("pyserini")
    run("bm25", "-o", "all.jsonl", "--engine", engine, "-k", "5")
    assert run("bm25", "-o", "more.jsonl", "--engine", engine, "-k", str(values.MOST))[0] == 0
    assert Path("more.jsonl").read_bytes() == Path("all.jsonl").read_bytes() != b""


@pytest.mark.parametrize("parameters", ["nprobe=0", "nprobe=-1", "nprobe=nan", "nprobe=1e30", "nprobe", "=", "x=1"])
def test_search_parameters_of_an_index(parameters, run):
    code, said = run("index", "--factory", "IVF1,Flat", "--parameters", parameters)
    assert code == USAGE
    assert "parameter" in said
    assert not Path("ix").exists()


@pytest.mark.parametrize(
    "factory", ["IVF9,Flat", "IDMap,Flat", "LSH", "HNSW100000000", "HNSW" + "9" * 5000, "PQ4x8", "nothing", " ", ""]
)
def test_an_index_that_does_not_suit_the_vectors(factory, run):
    code, said = run("index", "--factory", factory)
    assert code == USAGE
    assert said.splitlines()[-2].startswith("fidtools: ")
    assert "WARNING" not in said
    assert not Path("ix").exists()


@pytest.mark.parametrize(
    "metric",
    [
        *("R", "R@1e3", "P@0", "R@5.5", "nDCG@0", "AP(rel=0)", "Judged@0", "RBP(p=2)", "@", "P(rel=10**30)@5", "é"),
        *("R@" + "9" * 5000, "gold-R@" + "9" * 5000),
    ],
)
def test_a_metric_that_makes_no_sense(metric, run):
    code, said = run("eval", "-m", metric)
    assert code == USAGE
    assert f"unknown metric: {metric}" in said


@pytest.mark.parametrize("weights", ["attention=inf", "attention=nan", "attention=1e400", "attention=0", "=1", ",", ""])
@pytest.mark.parametrize("command", ["teacher-report", "train-retriever"])
def test_weights_of_teachers(command, weights, run):
    code, said = run(command, "--teacher", weights)
    assert code == USAGE
    assert "weights above 0" in said


@pytest.mark.parametrize("value", ["nan", "0", "-1", "", "1,,2", "1e3", str(10**18), "x"])
@pytest.mark.parametrize("command", ["eval", "compare"])
def test_cutoffs(command, value, run):
    code, said = run(command, "--k", value)
    assert (code, "--k" in said) == (USAGE, True)


@pytest.mark.parametrize("name", ["score", "previous"])
def test_a_score_takes_no_name_that_stands_for_another(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["score-cross", "good.jsonl", "--teacher", RETRIEVER, "--name", name]) == USAGE
    assert f"'{name}': the name of " in capsys.readouterr().err

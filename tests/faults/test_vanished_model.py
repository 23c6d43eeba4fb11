"""A model folder that is removed or renamed while a command begins: it is not looked up on the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fidtools.compute.hub import loading, refuse_no_model, resolve_model
from fidtools.errors import FidtoolsError
from tests.toy_models import RETRIEVER

GONE = "acme/model: the model folder is gone: it was there when this command began"


@pytest.fixture
def vanished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(RETRIEVER, "acme/model")
    refuse_no_model("acme/model")
    shutil.rmtree("acme/model")

    def no_download(*_: object, **__: object) -> str:
        raise AssertionError("looked up on the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_download)
    return "acme/model"


def test_a_folder_that_vanishes_after_its_check_is_said_to_be_gone(vanished: str) -> None:
    with pytest.raises(FidtoolsError) as caught:
        resolve_model(vanished)
    assert str(caught.value) == GONE


def test_a_folder_that_vanishes_while_it_is_loaded_is_said_to_be_gone(vanished: str) -> None:
    with pytest.raises(FidtoolsError) as caught, loading(vanished):
        raise OSError("no file named config.json")
    assert str(caught.value) == GONE


def test_a_folder_that_comes_back_is_loaded(vanished: str) -> None:
    shutil.copytree(RETRIEVER, vanished)
    assert resolve_model(vanished) == Path(vanished)


def test_a_name_inside_a_folder_that_is_here_may_be_meant_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hints = []
    for name in ("1/retriever", "2/retriever"):
        Path("1").mkdir(exist_ok=True)
        with pytest.raises(FidtoolsError) as caught, loading(name):
            raise OSError("no such repository")
        hints.append(str(caught.value.hint))
    assert hints[0] == f"the folder 1 has no retriever; {hints[1]}"
    assert hints[1].startswith("without network access, give a folder")

"""The names that the command offers are those of the data sets."""

from __future__ import annotations

import importlib

from fidtools.datasets.catalogue import dataset_named
from fidtools.datasets.names import MODULES
from fidtools.datasets.urls import LICENCES, TABLE


def test_every_data_set_is_in_the_module_that_its_name_gives():
    modules = {module: importlib.import_module(f"fidtools.datasets.{module}") for module in set(MODULES.values())}
    found = {name: module for module, loaded in modules.items() for name in getattr(loaded, "DATASETS", ())}
    assert found | {"toy": "toy"} == MODULES


def test_files_and_licences_of_every_data_set_are_listed():
    files = {source.name for source in TABLE}
    for name in set(MODULES) - {"toy"}:
        dataset = dataset_named(name)
        assert set(dataset.sources) <= files
        assert set(dataset.licences) <= set(LICENCES)

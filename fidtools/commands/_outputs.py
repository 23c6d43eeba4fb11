"""Checks of every command's texts, and of its outputs against its inputs, before any work.

What a parameter means is in its type (`_path_types`): one with `writes` is an output, Place is neither read nor
replaced, every other path is read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import click

from fidtools.commands import _path_types as paths
from fidtools.commands._launched import refuse_shared_streams
from fidtools.commands._path_types import Writes


def guard(command: click.Command) -> None:
    """Let a command, or every command of a group, check its paths before it does anything."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            guard(inner)
    elif command.callback is not None and not hasattr(command.callback, "__wrapped__"):
        command.callback = _checked(command, command.callback)


def _checked(command: click.Command, function: Any) -> Any:
    @functools.wraps(function)
    def run(**values: Any) -> Any:
        _check(command, values)
        return function(**values)

    return run


def _check(command: click.Command, values: dict[str, Any]) -> None:
    from fidtools.data.path_conflicts import Target, refuse_conflicts, refuse_long_name, refuse_unwritable

    targets: list[Target] = []
    inputs: list[str] = []
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, type(click.STRING)):
            _refuse_bytes(parameter, value)
        if isinstance(parameter.type, paths.Named) and parameter.type.writes is not None:
            if value is not None:
                kind = parameter.type
                refuse_long_name(value)
                targets.append(Target(value, _replaces(parameter.type.writes, value), kind.suffixes))
                if kind.writes == "file":
                    refuse_unwritable(value)
        else:
            inputs += _read_paths(parameter, value)
    refuse_shared_streams(command.name or "", inputs, (str(target.path) for target in targets))
    refuse_conflicts(targets, inputs)


def _refuse_bytes(parameter: click.Parameter, value: Any) -> None:
    """Raise BadParameter for a text that is not UTF-8. Names of files may be: they are of another type."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and text.encode(errors="ignore") != text.encode(errors="surrogatepass"):
            raise click.BadParameter(f"{text!r} is not UTF-8.", param=parameter)


def _replaces(writes: Writes, value: Any) -> Literal["file", "folder", "nothing"]:
    if writes == "file or folder":
        return "folder" if Path(value).is_dir() else "file"
    return "nothing" if writes == "files" else writes


def _read_paths(parameter: click.Parameter, value: Any) -> Iterator[str]:
    """The paths that a parameter may name: a list of paths, `a.jsonl,b.jsonl`, a model's folder."""
    is_argument = isinstance(parameter, click.Argument)
    if isinstance(parameter.type, paths.Place) or not (
        is_argument or isinstance(parameter.type, click.Path | paths.Named)
    ):
        return
    if value == () and is_argument:
        yield "-"
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, str | Path):
            yield str(each)
            if is_argument and "," in str(each):
                yield from filter(None, str(each).split(","))

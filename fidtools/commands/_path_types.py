"""Types of options and arguments for files, folders and models. What cannot be one is refused before any work.

Data files that are missing or folders end as in the middle of a command (exit 1, the system's words), but before it
has read anything.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Literal

import click

from fidtools.console import standard_input, standard_output
from fidtools.errors import UsageError

STANDARD = "-"
Writes = Literal["file", "folder", "file or folder", "files"]
"""What a command does with an output: a file, a folder that is replaced as a whole, either, or files in a folder."""


class Named(click.ParamType[Any]):
    """The name of a file, folder or model, which is not empty; a Path with `path_type`."""

    name = "path"
    writes: Writes | None = None
    suffixes: tuple[str, ...] = ()
    """Of files that the command does not read from a folder of its input, so that they may be written there."""

    def __init__(self, path_type: type | None = None) -> None:
        self.path_type = path_type

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name as a string or path."""
        text = os.fspath(value)
        if not text:
            self.fail("the name is empty.", param, ctx)
        if "\0" in text:
            self.fail("a name cannot contain a NUL character.", param, ctx)
        self.check(text, param, ctx)
        return text if self.path_type is None else self.path_type(text)

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Raise for a name that cannot be used."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Let the shell complete names of files."""
        return click.Path().shell_complete(ctx, param, incomplete)


class InputFile(Named):
    """A file to read that exists, or `-` for standard input; with `folders`, also a folder (of BEIR's files)."""

    def __init__(self, path_type: type | None = None, *, folders: bool = False) -> None:
        super().__init__(path_type)
        self.folders = folders

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Raise FileNotFoundError or IsADirectoryError, and FidtoolsError for a standard input that is closed."""
        if text == STANDARD:
            standard_input()
        elif os.path.isdir(text) and not self.folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), text)
        elif not (self.folders and text.endswith(".npy")):  # X.npy may be shards, which are opened by its name
            os.stat(text)


class EmbeddingsFile(Named):
    """Embeddings: X.npy, or X.00000.npy, X.00001.npy, … in its place."""

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Raise IsADirectoryError for a folder, UsageError for an index or a name that does not end in .npy."""
        if os.path.exists(os.path.join(text, "vectors.faiss")):
            raise UsageError(
                f"{text}: an index of embeddings, not embeddings",
                hint="`--index` of retrieve, search and serve takes it",
            )
        if os.path.isdir(text):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), text)
        if Path(text).suffix != ".npy":
            hint = "fidtools convert FILE -o X.npy makes one of other formats"
            raise UsageError(f"{text}: embeddings are read from a .npy file", hint=hint)


class Model(Named):
    """A model: a folder, a name on the hub, or one that a package carries. It is loaded later."""

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Raise UsageError for what cannot be one, before any work."""
        from fidtools.compute.hub import refuse_no_model

        refuse_no_model(text)


class Place(Named):
    """A folder that is neither read nor replaced."""

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Raise NotADirectoryError for a file."""
        if os.path.exists(text) and not os.path.isdir(text):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text)


class OutputFile(Named):
    """A file to write, or `-` for standard output."""

    writes: Writes = "file"

    def __init__(self, path_type: type | None = None, *, suffixes: tuple[str, ...] = ()) -> None:
        super().__init__(path_type)
        self.suffixes = suffixes

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail for a folder and for a file in a folder that does not exist."""
        if text == STANDARD:
            standard_output()
            return
        if os.path.isdir(text) or text.endswith(os.sep):
            self.fail(f"{text!r} is a folder: name a file.", param, ctx)
        parent = os.path.dirname(os.path.realpath(text))
        if not os.path.exists(parent):
            self.fail(f"the folder {os.path.dirname(text)!r} does not exist.", param, ctx)
        if not os.path.isdir(parent):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text)


class OutputData(OutputFile):
    """A file to write, or a folder where the format is one."""

    writes: Writes = "file or folder"

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail for a name that suits neither."""
        as_folder = text != STANDARD and (os.path.isdir(text) or not os.path.isdir(os.path.dirname(text) or "."))
        (output_folder if as_folder else output_file).check(text, param, ctx)


class OutputFolder(Named):
    """A folder to write, which is created with the folders above it; with `files`, others in it are left alone."""

    def __init__(self, path_type: type | None = None, *, files: bool = False) -> None:
        super().__init__(path_type)
        self.writes = "files" if files else "folder"

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Fail for `.`, `..`, `/`, `-` and the name of a file."""
        if text == STANDARD:
            self.fail("a folder cannot be written to standard output.", param, ctx)
        if Path(text).name in ("", ".."):
            self.fail(f"{text!r} has no name of its own: name a new folder.", param, ctx)
        for part in (Path(text), *Path(text).parents):
            if part.is_dir():
                return
            if os.path.lexists(part) and not part.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(part))


class ModelFolder(OutputFolder):
    """A folder for a model. The libraries that save and load models take names in UTF-8 only."""

    def check(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Also fail for a name that is not UTF-8."""
        super().check(text, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r}: the name of a model's folder must be UTF-8.", param, ctx)


name = Named()
model = Model()
input_file = InputFile()
input_data = InputFile(folders=True)
output_file = OutputFile()
output_folder = OutputFolder()

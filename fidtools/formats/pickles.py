"""Pickles of other systems, read without running any code in them: only numpy arrays and plain Python values load."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import IO, Any

from fidtools.data.files import PathLike, open_input
from fidtools.errors import DataError

ALLOWED = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("builtins", "bytearray"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
}


class ForbiddenGlobal(pickle.UnpicklingError):
    """A pickle that refers to something that could run code."""


class RestrictedUnpickler(pickle.Unpickler):
    """Refuses every global except those that rebuild numpy arrays and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of that name. Raises ForbiddenGlobal unless it is in ALLOWED."""
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1's name
        if (module, name) not in ALLOWED:
            raise ForbiddenGlobal(f"it refers to {module}.{name}")
        if (module, name) == ("_codecs", "encode"):
            return _encode
        return super().find_class(module, name)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 write bytes, restricted to the encoding that they use."""
    if encoding != "latin1":
        raise ForbiddenGlobal(f"it refers to the encoding {encoding}")
    return text.encode("latin1")


def load_pickle(path: PathLike) -> Any:
    """The value in a pickle file (.gz too).

    Raises DataError for a pickle that needs more than numpy and plain Python values, and for a corrupt one.
    """
    with open_input(path) as stream:
        return read_pickle(stream, path)


def read_pickle(stream: IO[bytes], path: PathLike) -> Any:
    """The value in an open pickle; see `load_pickle`."""
    unpickler: Callable[[], Any] = RestrictedUnpickler(stream).load
    try:
        return unpickler()
    except ForbiddenGlobal as error:
        hint = "only numpy arrays and plain Python values are loaded from pickles"
        raise DataError(f"an unsafe pickle: {error}", path=path, hint=hint) from error
    except Exception as error:  # a corrupt pickle can raise whatever its opcodes can
        raise DataError(f"truncated or corrupt pickle: {type(error).__name__} {error}", path=path) from error

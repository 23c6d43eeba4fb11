"""Pickles of other systems, read without running any code in them: only numpy arrays and plain Python values load.

What a pickle names is replaced by functions of this module. None of them passes bytes of the file to numpy unchecked: a
type is a plain number or string, and an array has exactly the bytes that its shape needs.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, NoReturn

import numpy as np

from fidtools.data.files import PathLike, open_input
from fidtools.data.memory_limit import limited_memory, memory_bound
from fidtools.errors import DataError
from fidtools.typing import Array

PLAIN_KINDS = "biufcSU"  # numbers and strings; not V (fields) and not M, m (dates)
MAX_CODE_POINT = 0x10FFFF
MAX_LENGTH = 1 << 40  # of one dimension; where another is 0, no bytes stand for it


class ForbiddenGlobal(pickle.UnpicklingError):
    """A pickle that refers to something that could run code."""


class _Type:
    """A numpy type while it is being read.

    A real `numpy.dtype` takes flags and fields from the pickle, which can turn a number into a Python object. Of those,
    only the byte order is used here.
    """

    def __init__(self, name: str, align: bool = False, copy: bool = True) -> None:
        self.is_object = _checked(name, str) in ("O", "O8", "O4")
        self.dtype = np.dtype(object) if self.is_object else np.dtype(name)
        plain = self.dtype.kind in PLAIN_KINDS and self.dtype.itemsize > 0
        if not (self.is_object or plain):
            raise ForbiddenGlobal(f"it contains an array of the type {name}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subtype, names, fields = state[:5]
        if (subtype, names, fields) != (None, None, None):
            raise ForbiddenGlobal("it contains an array of a type with fields")
        if not self.is_object:
            self.dtype = self.dtype.newbyteorder(_checked(order, str))

    def check(self, raw: Any, shape: tuple[int, ...]) -> Any:
        """The bytes of an array of this type and shape, or the list of its objects. Raises an error for other ones."""
        if any(not 0 <= _checked(length, int) < MAX_LENGTH for length in _checked(shape, tuple)):
            raise ValueError(f"{shape} is not a shape")
        if self.is_object:
            given = len(_checked(raw, list))  # bytes would be taken for addresses of objects
            needed = math.prod(shape)
        else:
            given = len(_checked(raw, bytes, bytearray))
            needed = math.prod(shape) * self.dtype.itemsize
        if given != needed:
            raise ValueError(f"an array of shape {shape} with {given} bytes or objects instead of {needed}")
        if self.dtype.kind == "U":
            self._check_characters(raw)
        return raw

    def _check_characters(self, raw: bytes) -> None:
        codes = np.frombuffer(raw, np.dtype(np.uint32).newbyteorder(self.dtype.byteorder))
        if codes.max(initial=0) > MAX_CODE_POINT:
            raise ValueError("a string with characters that do not exist")


class _Array(np.ndarray):
    """An array while it is being read: what the pickle says of it is checked before numpy sees it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, raw = state
        checked = _checked(kind, _Type).check(raw, shape)
        content = checked if kind.is_object else bytes(checked)
        super().__setstate__((1, shape, kind.dtype, bool(is_fortran), content))  # type: ignore[arg-type]


class _Allowed:
    """A function that a pickle may call, and whose attributes it cannot set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise ForbiddenGlobal("it changes a function")


def _checked(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError(f"{type(value).__name__} in place of {kinds[0].__name__}")
    return value


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 write bytes, restricted to the encoding that they use."""
    if encoding != "latin1":
        raise ForbiddenGlobal(f"it refers to the encoding {encoding}")
    return text.encode("latin1")


def _new_array(*arguments: Any) -> Array:
    """numpy's `_reconstruct`: an empty array, which gets its content by `__setstate__`."""
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _array_of_bytes(raw: Any, kind: Any, shape: Any, order: str = "C") -> Array:
    """numpy's `_frombuffer` (protocol 5)."""
    if _checked(kind, _Type).is_object:
        raise ForbiddenGlobal("it takes bytes for Python objects")
    return np.frombuffer(kind.check(raw, shape), kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: Any, raw: Any = b"") -> Any:
    """numpy's `scalar`: one number or string."""
    if _checked(kind, _Type).is_object:
        raise ForbiddenGlobal("it takes bytes for a Python object")
    return np.frombuffer(kind.check(raw, (1,)), kind.dtype)[0]


def _bytes(text: Any = b"", encoding: str = "latin1") -> bytearray:
    """`bytearray` of bytes; of a number, it would take any amount of memory."""
    return bytearray(_encode(text, encoding.replace("-", "")) if isinstance(text, str) else _checked(text, bytes))


def _raw_array(*arguments: Any) -> NoReturn:
    """`numpy.ndarray` itself is named in every pickle of an array, and called in none."""
    raise ForbiddenGlobal("it calls numpy.ndarray")


ALLOWED = {
    ("numpy._core.multiarray", "_reconstruct"): _Allowed(_new_array),
    ("numpy._core.multiarray", "scalar"): _Allowed(_scalar),
    ("numpy._core.numeric", "_frombuffer"): _Allowed(_array_of_bytes),
    ("numpy", "ndarray"): _Allowed(_raw_array),
    ("numpy", "dtype"): _Allowed(_Type),
    ("_codecs", "encode"): _Allowed(_encode),
    ("collections", "OrderedDict"): _Allowed(OrderedDict),
    ("builtins", "bytearray"): _Allowed(_bytes),
    ("builtins", "set"): _Allowed(set),
    ("builtins", "frozenset"): _Allowed(frozenset),
}
MODULES = {"numpy.core.": "numpy._core.", "__builtin__": "builtins"}  # names in numpy 1 and Python 2


class RestrictedUnpickler(pickle.Unpickler):
    """Refuses every global except those that rebuild numpy arrays and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """Our function in place of the one of that name. Raises ForbiddenGlobal unless it is in ALLOWED."""
        for old, new in MODULES.items():
            module = module.replace(old, new)
        if (module, name) not in ALLOWED:
            raise ForbiddenGlobal(f"it refers to {module}.{name}")
        return ALLOWED[module, name]


def load_pickle(path: PathLike) -> Any:
    """The value in a pickle file (.gz too). It may take memory in proportion to the file's size, and no more.

    Raises DataError for a pickle that needs more than numpy and plain Python values, and for a corrupt one.
    """
    with open_input(path) as stream:
        return read_pickle(stream, path)


def read_pickle(stream: IO[bytes], path: PathLike) -> Any:
    """The value in an open pickle; see `load_pickle`."""
    try:
        with limited_memory(memory_bound(path)):
            return RestrictedUnpickler(stream).load()
    except ForbiddenGlobal as error:
        hint = "only numpy arrays and plain Python values are loaded from pickles"
        raise DataError(f"an unsafe pickle: {error}", path=path, hint=hint) from error
    except MemoryError as error:
        raise DataError("a corrupt or unsafe pickle: it asks for far more memory than its size", path=path) from error
    except Exception as error:  # a corrupt pickle can raise whatever its opcodes can
        raise DataError(f"truncated or corrupt pickle: {type(error).__name__} {error}", path=path) from error

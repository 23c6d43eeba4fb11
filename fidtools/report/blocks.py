"""Data in small compressed blocks, inside the page or beside it, of which a browser opens only those it shows."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fidtools.data.files import atomic_folder

COMPRESSION = 6


@dataclass(frozen=True)
class Block:
    """Compressed bytes under a name."""

    name: str
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as they stand in a page: base64 holds no character that HTML gives a meaning."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def size(self) -> int:
        """The length of `text`."""
        return -(-len(self.data) // 3) * 4


def pack(name: str, value: Any, binary: bytes = b"") -> Block:
    """A block of a JSON value, followed by a line break and `binary` where there is some."""
    raw = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Block(name, gzip.compress(raw + (b"\n" + binary if binary else b""), COMPRESSION, mtime=0))


def unpack(block: Block) -> Any:
    """The JSON value of a block."""
    return orjson.loads(gzip.decompress(block.data).partition(b"\n")[0])


def write_assets(folder: Path, blocks: list[Block]) -> None:
    """Write every block as a script that hands its text over: a page opened from disk may load nothing else.

    A folder that holds anything but an earlier report's blocks is not replaced: raises FileExistsError.
    """
    if folder.is_dir() and any(not _is_block(path) for path in folder.iterdir()):
        raise FileExistsError(17, "there are other files in it: choose an empty or a new folder", str(folder))
    with atomic_folder(folder) as partial:
        for block in blocks:
            (partial / f"{block.name}.js").write_text(f'receiveBlock("{block.name}","{block.text}");\n', "ascii")


def _is_block(path: Path) -> bool:
    return path.suffix == ".js" and path.is_file() and path.read_bytes()[:13] == b"receiveBlock("

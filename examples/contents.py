"""contents.py RECORD NAME=PATH…: whether the files and folders are as RECORD has them. New ones are added to it.

The exit status is 4 where they are not, which is said, and 1 where that cannot be told. `keep_contents` of
bin/settings.sh runs it. Any Python 3.8 or newer will do, without packages.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys

CHANGED = 4


def sha256(path):
    """The hash of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def contents(path):
    """The hashes of the file, or of the files in the folder, by relative path; hidden ones are left out."""
    if not os.path.isdir(path):
        return {"": sha256(path)} if os.path.isfile(path) else {}
    files = (os.path.join(at, name) for at, _, names in os.walk(path) for name in names)
    found = {os.path.relpath(file, path): file for file in files if os.path.isfile(file)}
    return {name: sha256(file) for name, file in found.items() if f"{os.sep}." not in os.sep + name}


def read(record):
    """What the record says; nothing when there is none yet."""
    try:
        with open(record, encoding="utf-8") as stream:
            found = json.load(stream)
        if isinstance(found, dict) and all(isinstance(files, dict) for files in found.values()):
            return found
    except FileNotFoundError:
        return {}
    except ValueError:
        pass
    hint = "what the run was made from is not known; remove the folder, or only this file to trust it"
    return sys.exit(f"{record}: damaged: {hint}")


def write(record, known):
    """Replace the record, which is on the disk afterwards."""
    with open(record + ".part", "w", encoding="utf-8") as out:
        json.dump(known, out, indent=1, sort_keys=True)
        out.flush()
        os.fsync(out.fileno())
    os.replace(record + ".part", record)


def changes(name, path, then, now):
    """What to say of each file that differs."""
    changed = (file for file in sorted(now.keys() | then.keys()) if now.get(file) != then.get(file))
    return [f"{name}: {os.path.join(path, file) if file else path} has changed" for file in changed]


def main(record, arguments):
    """Compare with the record, and extend it where nothing differs."""
    before = read(record)
    known, said = dict(before), []
    for name, path in (argument.split("=", 1) for argument in arguments):
        try:
            now = contents(path)
        except OSError as error:
            sys.exit(f"{name}: {error.filename}: {(error.strerror or str(error)).lower()}")
        known[name] = before.get(name, now)
        said += changes(name, path, known[name], now)
    if said:
        print("\n".join(said), file=sys.stderr)
        sys.exit(CHANGED)
    if known != before:
        try:
            write(record, known)
        except OSError as error:
            sys.exit(f"{record}: {(error.strerror or str(error)).lower()}")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    main(sys.argv[1], sys.argv[2:])

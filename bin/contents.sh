# shellcheck shell=bash
# What the inputs of a run hold: it is not continued with others of the same names. `lib.sh` sources this file, and has
# what is used here: `say`, `python_alone`, `DRY_RUN`.

# compare_contents RECORD NAME=PATH…: whether the files and folders are as RECORD has them. New ones are added to it. The
# status is 4 where they are not, and another one where that cannot be told.
compare_contents() {
  python_alone '
import hashlib, json, os, sys

def sha256(path):
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()

def contents(path):
    """The hashes of the file, or of the files in the folder, by relative path."""
    if not os.path.isdir(path):
        return {"": sha256(path)} if os.path.isfile(path) else {}
    files = (os.path.join(at, name) for at, _, names in os.walk(path) for name in names)
    found = {os.path.relpath(file, path): file for file in files if os.path.isfile(file)}
    return {name: sha256(file) for name, file in found.items() if f"{os.sep}." not in os.sep + name}

def read(record):
    """What the record says."""
    try:
        with open(record, encoding="utf-8") as stream:
            found = json.load(stream)
        if isinstance(found, dict) and all(isinstance(files, dict) for files in found.values()):
            return found
    except FileNotFoundError:
        return {}
    except ValueError:
        pass
    fail(f"{record}: damaged: what the run was made from is not known; remove the folder, or only this file to trust it")

def fail(problem):
    print(problem, file=sys.stderr)
    sys.exit(1)

record = sys.argv[1]
before = read(record)
known, same = dict(before), True
for argument in sys.argv[2:]:
    name, path = argument.split("=", 1)
    try:
        now = contents(path)
    except OSError as error:
        fail(f"{name}: {error.filename}: {(error.strerror or str(error)).lower()}")
    then = before.get(name, now)
    for file in sorted(now.keys() | then.keys()):
        if now.get(file) != then.get(file):
            print(f"{name}: {os.path.join(path, file) if file else path} has changed", file=sys.stderr)
            same = False
    known[name] = then
if same and known != before:
    try:
        with open(record + ".part", "w", encoding="utf-8") as out:
            json.dump(known, out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        os.replace(record + ".part", record)
    except OSError as error:
        fail(f"{record}: {(error.strerror or str(error)).lower()}")
sys.exit(0 if same else 4)' "$@"
}

# keep_contents SETTING FOLDER NAME=PATH…: a run keeps what its inputs hold, as keep_settings does its settings. SETTING
# is the one that names another folder.
keep_contents() {
  local setting=$1 folder=$2 status=0; shift 2
  [[ $DRY_RUN != 1 ]] || return 0
  compare_contents "$folder/contents.json" "$@" || status=$?
  [[ $status != 0 ]] || return 0
  [[ $status == 4 ]] || exit 1
  say "${0##*/}: $folder was made from other contents of these: choose another $setting=…, or remove it"
  exit 2
}

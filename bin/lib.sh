# shellcheck shell=bash
# What the scripts of bin/ and examples/ share: they source this file. It works with bash 3.2 (macOS).
#
# Sourcing it sets `here`, the root of the checkout, and puts .venv first on the PATH.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ ! -d $here/.venv/bin ]] || PATH=$here/.venv/bin:$PATH
: "${DRY_RUN:=0}"

say() { printf '%s\n' "$*" >&2; }

# python_alone PROGRAM ARGUMENT…: run a program that needs the standard library only, of any Python 3.8 or newer. A file
# json.py in the current folder does not take the place of a module, and Ctrl-C ends it without a traceback.
python_alone() {
  local program=$1; shift
  python3 -I -S -c "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)
$program" "$@"
}

# absolute PATH: the absolute path, which need not exist. A link keeps its name, so that making one changes no setting.
# (`realpath` is not on every system.)
absolute() {
  python_alone '
import os, sys
path = sys.argv[1].rstrip("/") or "/"
folder, name = os.path.split(path)
found = os.path.realpath(path) if name in ("", ".", "..") else os.path.join(os.path.realpath(folder), name)
sys.stdout.buffer.write(os.fsencode(found))' "$1"   # the name may be in any encoding
}

# refuse NAME WHAT: end with a usage error that says what the setting must be
refuse() { say "setting $1: ${!1} is not valid: it must be $2"; exit 2; }

[[ $DRY_RUN =~ ^[01]$ ]] || refuse DRY_RUN "0 or 1"

# counts zero|one NAME…: refuse settings that are no whole number from there to the largest count (one) or seed (zero)
counts() {
  local least=$1 most=2147483647 name; shift
  [[ $least == one ]] || most=4294967295
  for name in "$@"; do
    [[ ${!name} =~ ^(0|[1-9][0-9]{0,9})$ && ${!name} -le $most && ! ( $least == one && ${!name} == 0 ) ]] \
      || refuse "$name" "an integer from $least to $most, without leading zeros"
  done
}

# within NUMBER LEAST MOST: whether it is a number between them, both included
within() {
  [[ $1 =~ ^[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$ ]] && LC_ALL=C awk -v x="$1" -v least="$2" -v most="$3" \
    'BEGIN { exit !(x + 0 >= least + 0 && x + 0 <= most + 0) }'
}

# positive NAME…: refuse settings that are no number above zero
positive() {
  local name
  for name in "$@"; do within "${!name}" 1e-300 1e9 || refuse "$name" "a number above zero and up to 1e9"; done
}

# one_at_a_time FOLDER: wait until no other script works in the folder. The lock ends with this script and its stages.
# A dry run works in none.
one_at_a_time() {
  [[ $DRY_RUN != 1 ]] || return 0
  [[ ! -L $1 || -e $1 ]] || { say "${0##*/}: $1 is a link to $(readlink "$1"), which is not there"; exit 1; }
  mkdir -p "$1"
  exec 9>>"$1/.lock"
  python_alone '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print(f"{sys.argv[2]}: another process works in {sys.argv[1]}: waiting until it ends", file=sys.stderr, flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)' "$1" "${0##*/}"
}

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

# need_fidtools: make .venv when there is no fidtools yet; a dry run needs none
need_fidtools() {
  if [[ $DRY_RUN == 1 ]] || command -v fidtools >/dev/null; then return; fi
  say "There is no .venv yet: bin/setup installs fidtools into it. This takes a few minutes, once."
  "$here/bin/setup"
  PATH=$here/.venv/bin:$PATH
}

# quoted WORD…: the words as one would type them in a shell
quoted() {
  local word line=
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word=$(printf '%q' "$word")
    line="$line$word "
  done
  printf '%s' "${line% }"
}

# perform COMMAND…: run the command; a dry run prints it
perform() { if [[ $DRY_RUN == 1 ]]; then printf '%s\n' "$(quoted "$@")"; else "$@"; fi; }

# work_in FOLDER SUBFOLDER…: go to the folder; a dry run prints how, and how to make the subfolders that its commands need
work_in() {
  local folder=$1; shift
  if [[ $DRY_RUN == 1 ]]; then
    printf 'mkdir -p %q && cd %q && mkdir -p %s\n' "$folder" "$folder" "$(quoted "$@")"
  else
    mkdir -p "$folder"
    cd "$folder" || return
  fi
}

# --- Settings -----------------------------------------------------------------------------------------------------
#
# A setting that holds options of a command is an array, so that a value may have blanks in it:
#
#   given READER_OPTIONS || READER_OPTIONS=(--dropout 0 --question-prefix "my question:")
#
# The environment cannot hold arrays. There it is one string, split into words as a shell would split it:
#
#   READER_OPTIONS='--dropout 0 --question-prefix "my question:"' bin/iterate.sh toy 2
#
# Arrays that may be empty are expanded as ${a[@]+"${a[@]}"}: bash before 4.4 takes an empty array for an unset one.

# is_array NAME
is_array() { [[ $(declare -p "$1" 2>/dev/null) == "declare -a"* ]]; }

# given NAME: whether the setting has a value: an array, also an empty one, or a string that is not empty
given() { is_array "$1" || [[ -n ${!1-} ]]; }

# split_words STRING: its words, each ended by a NUL, then the word `end`. Quotes and backslashes group words; nothing is
# expanded and nothing is run.
split_words() {
  python_alone '
import os, shlex, sys
try:
    words = shlex.split(sys.argv[1])
except ValueError as error:
    sys.exit(f"cannot split {sys.argv[1]!r} into words: {str(error).lower()}")
sys.stdout.buffer.write(b"".join(os.fsencode(word) + b"\0" for word in [*words, "end"]))' "$1"
}

# read_options NAME…: turn settings that are strings into arrays, and unset empty strings
read_options() {
  local name word words last
  for name in "$@"; do
    if is_array "$name"; then continue; fi
    if ! given "$name"; then unset "$name"; continue; fi
    words=() last=
    while IFS= read -r -d '' word; do words+=("$word") last=$word; done < <(split_words "${!name}")
    [[ $last == end ]] || { say "setting $name: not a list of options"; exit 2; }
    unset "$name" "words[${#words[@]}-1]"
    # bash 3.2 has no other way to assign an array by name; only the name is evaluated, never the words
    eval "$name=(\${words[@]+\"\${words[@]}\"})"
  done
}

# setting NAME: the line NAME=VALUE that a run keeps in settings.txt; options are quoted where they need it
setting() {
  local words
  if is_array "$1"; then
    eval "words=(\${$1[@]+\"\${$1[@]}\"})"
    printf '%s=%s\n' "$1" "$(quoted ${words[@]+"${words[@]}"})"
  else
    printf '%s=%s\n' "$1" "${!1-}"
  fi
}

# keep_settings FOLDER NAME…: a run keeps its settings, so that outputs of other settings are not mistaken for its own
keep_settings() {
  local folder=$1 now name; shift
  now=$(for name in "$@"; do setting "$name"; done)
  [[ $DRY_RUN != 1 ]] || return 0
  mkdir -p "$folder"
  if [[ ! -f $folder/settings.txt ]]; then   # whole or absent: half of it would be other settings
    printf '%s\n' "$now" >"$folder/settings.txt.part"
    mv "$folder/settings.txt.part" "$folder/settings.txt"
    return
  fi
  # where the power failed, a file may be left empty or full of zeros
  if ! tr -d '\0' <"$folder/settings.txt" | grep -q .; then
    say "$folder/settings.txt: damaged: the settings of the run are not known; remove the folder, or only this file" \
      "to trust those of now"
    exit 1
  fi
  diff "$folder/settings.txt" <(printf '%s\n' "$now") >&2 && return
  say "${0##*/}: $folder was started with other settings (< then, > now): choose another folder, or remove it"
  exit 2
}

# name_unknown NAME…: warn of variables of the environment that are called like settings and are none of these
name_unknown() {
  local name prefix='(READER|RETRIEVER|TEACHER|BM25|READ|EMBED|RETRIEVE|EVAL|SCORE|LIKELIHOOD)_'
  local whole='(PROFILE|FETCH|DO[CK]UMENT[A-Z]*|QUESTION[A-Z]*|QUESTION_MODEL)$'
  while IFS= read -r name; do
    [[ " $* " == *" $name "* ]] ||
      say "warning: $name is not used: it is no setting of this dataset and profile (docs/settings.md lists them)"
  done < <(compgen -e | grep -E "^($prefix|(TRAIN|DEV|TEST)_QUESTIONS|$whole)")
}

# --- Stages -------------------------------------------------------------------------------------------------------

stage_log=stages.jsonl   # where `stage` keeps the time of each stage, relative to the folder it works in

# launch: set `compute`, the command for what computes: fidtools, on as many processes as LAUNCH starts
launch() {
  read_options LAUNCH
  compute=(fidtools)
  if given LAUNCH && [[ ${#LAUNCH[@]} -gt 0 ]]; then compute=("${LAUNCH[@]}" --no-python fidtools); fi
}

# stage OUTPUT COMMAND…: run the command with `-o OUTPUT`, unless the output exists already
stage() {
  local out=$1 shown began status=0; shift
  shown=$(quoted "$@" -o "$out")
  if [[ $DRY_RUN == 1 ]]; then printf '%s\n' "$shown"; return; fi
  if [[ -e $out ]]; then say "have $out"; return; fi
  say "\$ $shown"
  mkdir -p "$(dirname "$out")"
  began=${EPOCHREALTIME:-$(date +%s)}   # whole seconds before bash 5
  "$@" -o "$out" || status=$?
  log_stage "$out" "$shown" "${began/,/.}" "$status"
  return "$status"
}

# log_stage OUTPUT COMMAND BEGAN STATUS: print how long it took, and append a line about it to $stage_log
log_stage() {
  python_alone '
import json, sys, time
from datetime import datetime, timedelta, timezone

log, stage, command, began, status = sys.argv[1:]
seconds = time.time() - float(began)
started = datetime.fromtimestamp(float(began), timezone.utc).isoformat(timespec="seconds")
line = {"stage": stage, "command": command, "seconds": round(seconds, 1), "started": started, "status": int(status)}
with open(log, "a", encoding="utf-8") as lines:
    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
took = f"{seconds:.1f} s" if seconds < 60 else f"{timedelta(seconds=round(seconds))} h"
ends = {"0": f"took {took}", "130": f"stopped after {took}; the same command goes on from here"}
print(f"  {stage}", ends.get(status, f"failed after {took}"), file=sys.stderr)' "$stage_log" "$@"
}

# --- Stages that several scripts run, with the settings of bin/iterate.sh --------------------------------------------

# train_retriever OUTPUT TRAIN DEV START SEED TEACHER [OPTION…]
train_retriever() {
  local out=$1 train=$2 dev=$3 start=$4 seed=$5 teacher=$6; shift 6
  stage "$out" "${compute[@]}" train-retriever "$train" --dev "$dev" --retriever "$start" --teacher "$teacher" \
    --n-passages "$RETRIEVER_PASSAGES" --steps "$RETRIEVER_STEPS" --batch "$RETRIEVER_BATCH" --lr "$RETRIEVER_LR" \
    --eval-every "$RETRIEVER_EVAL_EVERY" --seed "$seed" --precision "$PRECISION" --resume \
    ${RETRIEVER_OPTIONS[@]+"${RETRIEVER_OPTIONS[@]}"} "$@"
}

# embed_passages OUTPUT RETRIEVER
embed_passages() {
  stage "$1" "${compute[@]}" embed "$PASSAGES" --retriever "$2" --precision "$PRECISION" --resume \
    ${EMBED_OPTIONS[@]+"${EMBED_OPTIONS[@]}"}
}

# retrieve_passages OUTPUT QUESTIONS RETRIEVER EMBEDDINGS
retrieve_passages() {
  stage "$1" "${compute[@]}" retrieve "$2" --retriever "$3" --embeddings "$4" -p "$PASSAGES" -k "$K" \
    --precision "$PRECISION" ${RETRIEVE_OPTIONS[@]+"${RETRIEVE_OPTIONS[@]}"}
}

# evaluate OUTPUT FILE
evaluate() { stage "$1" fidtools eval "$2" --k "$EVAL_K" --json ${EVAL_OPTIONS[@]+"${EVAL_OPTIONS[@]}"}; }

# shellcheck shell=bash
# What the scripts of bin/ and examples/ share: they source this file. It works with bash 3.2 (macOS).
#
# Sourcing it sets `here`, the root of the checkout, and puts .venv first on the PATH.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ ! -d $here/.venv/bin ]] || PATH=$here/.venv/bin:$PATH
: "${DRY_RUN:=0}"

# shellcheck source=bin/settings.sh
source "$here/bin/settings.sh"
# shellcheck source=bin/contents.sh
source "$here/bin/contents.sh"

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
sys.stdout.buffer.write(os.fsencode(found) + b"\n")' "$1"   # the name may be in any encoding
}

[[ $DRY_RUN =~ ^[01]$ ]] || refuse DRY_RUN "0 or 1"

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

# embed_passages OUTPUT RETRIEVER [CORPUS]
embed_passages() {
  stage "$1" "${compute[@]}" embed "${3:-$PASSAGES}" --retriever "$2" --precision "$PRECISION" --resume \
    ${EMBED_OPTIONS[@]+"${EMBED_OPTIONS[@]}"}
}

# retrieve_passages OUTPUT QUESTIONS RETRIEVER EMBEDDINGS [CORPUS K]
retrieve_passages() {
  stage "$1" "${compute[@]}" retrieve "$2" --retriever "$3" --embeddings "$4" -p "${5:-$PASSAGES}" -k "${6:-$K}" \
    --precision "$PRECISION" ${RETRIEVE_OPTIONS[@]+"${RETRIEVE_OPTIONS[@]}"}
}

# evaluate OUTPUT FILE
evaluate() { stage "$1" fidtools eval "$2" --k "$EVAL_K" --json ${EVAL_OPTIONS[@]+"${EVAL_OPTIONS[@]}"}; }

#!/usr/bin/env bash
# Every figure from a GPU in one run of at most eight minutes; benchmarks/gpu.md says what is measured and holds the table.
#
#   benchmarks/gpu.sh [SECTION …]      on a machine with a GPU; it needs nothing from a network
#   DRY=1 benchmarks/gpu.sh            checks the script itself on a CPU, with tiny sizes
#
# Results are lines of $OUT/rows.jsonl (default benchmarks/gpu-out), written as they come; $OUT/gpu.md is the table made
# of them after each section, so a run that is cut short leaves one too. Each section runs in a process of its own, for so
# many seconds at most; SECONDS_IN_ALL bounds them together. PYTHON=… chooses the interpreter.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

: "${OUT:=benchmarks/gpu-out}" "${DRY:=}"
: "${SECONDS_IN_ALL:=${DRY:+3}470}"   # a CPU that others use too may take its time
[[ -d .venv/bin ]] && PATH=$PWD/.venv/bin:$PATH
: "${PYTHON:=python3}"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 DRY
sections=(device:90 data:60 tests:90 score:60 embed:80 train:90 search:120 train-retriever:90 read:60)

mkdir -p "$OUT"
rm -f "$OUT"/{rows.jsonl,gpu.md,log.txt,profile.txt}
# Models, and states of training, in memory where there is room: disks differ, and are not what is measured.
room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)
[[ -z $DRY && ${room:-0} -gt 20000000 && -w /dev/shm ]] && scratch=/dev/shm || scratch=${TMPDIR:-/tmp}
work=$(mktemp -d -p "$scratch" fidtools-gpu.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT

began=$SECONDS
for entry in "${sections[@]}"; do
  section=${entry%:*} limit=${entry#*:} left=$((SECONDS_IN_ALL - SECONDS + began))
  [[ $# -eq 0 || " device data $* " == *" $section "* ]] || continue
  [[ -z $DRY ]] || limit=$left
  (( limit = limit < left ? limit : left ))
  if (( limit < 5 )); then
    echo "{\"section\": \"$section\", \"name\": \"not run\", \"note\": \"FAILED: no time was left\"}" >> "$OUT/rows.jsonl"
    continue
  fi
  echo "== $section (at $((SECONDS - began)) s)" | tee -a "$OUT/log.txt"
  timeout --kill-after=5 "$limit" "$PYTHON" -m benchmarks.gpu "$section" --work "$work" --out "$OUT" ${DRY:+--dry} 2>&1 |
    tee -a "$OUT/log.txt"
  code=${PIPESTATUS[0]}
  (( code == 0 )) || echo "{\"section\": \"$section\", \"name\": \"ended early\", \"note\": \"FAILED: exit code $code (124: after $limit s)\"}" >> "$OUT/rows.jsonl"
  "$PYTHON" -m benchmarks.gpu.rows "$OUT/rows.jsonl" > "$OUT/gpu.md"
done
echo "== $((SECONDS - began)) s in all" | tee -a "$OUT/log.txt"
[[ -n $DRY ]] || "$PYTHON" -m benchmarks.gpu.rows "$OUT/rows.jsonl" benchmarks/gpu.md > /dev/null
cat "$OUT/gpu.md"
! grep -q FAILED "$OUT/rows.jsonl"

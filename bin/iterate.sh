#!/usr/bin/env bash
# The iterative training of Izacard & Grave, section 3.5:   bin/iterate.sh DATASET N
#
# Starting passages, then N times: train the reader, score with its attention, train the retriever, embed, retrieve,
# evaluate. Settings come from examples/DATASET/settings.sh; any of them can be set in the environment:
#
#   START=bert PROFILE=small bin/iterate.sh nq 4
#
# Everything lies in $RUN (runs/DATASET). A stage whose output is there is skipped, so a run that was killed anywhere is
# continued by starting it again. DRY_RUN=1 prints the commands and does nothing. LAUNCH="torchrun --nproc-per-node 8"
# runs the stages that compute on eight processes.
set -euo pipefail

usage() {
  local datasets=("$here"/examples/*/settings.sh)
  datasets=("${datasets[@]%/settings.sh}")
  echo "usage: bin/iterate.sh DATASET N   (datasets: ${datasets[*]##*/})" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# -eq 2 && $2 =~ ^[0-9]+$ ]] || usage
dataset=$1 iterations=$2
[[ -f $here/examples/$dataset/settings.sh ]] || usage
[[ -d $here/.venv/bin ]] && PATH=$here/.venv/bin:$PATH

# absolute PATH, which need not be there (not every system's realpath can)
absolute() { python3 -c 'import os, sys; print(os.path.realpath(sys.argv[1]))' "$1"; }

DATASET_FOLDER=$here/examples/$dataset
# shellcheck source=/dev/null
source "$DATASET_FOLDER/settings.sh"

: "${RUN:=$here/runs/$dataset}"             # where everything is written
: "${START:=bm25}"                          # bm25 | bert (the untouched retriever) | a folder of ranked train/dev/test.jsonl
: "${DATA:?settings.sh must say where the data is}"
: "${TRAIN:=$DATA/train.jsonl}" "${DEV:=$DATA/dev.jsonl}" "${TEST:=$DATA/test.jsonl}"
: "${PASSAGES:=$DATA/passages.jsonl}"
: "${READER:?}" "${RETRIEVER:?}"            # the models to start from: folders or names on the hub
: "${K:=100}"                               # passages retrieved per question
: "${N_CONTEXT:=100}"                       # passages the reader reads
: "${RETRIEVER_PASSAGES:=100}"              # passages scored per question, on which the retriever is trained
: "${READER_STEPS:=10000}" "${READER_BATCH:=64}" "${READER_LR:=1e-4}" "${READER_EVAL_EVERY:=500}"
: "${RETRIEVER_STEPS:=10000}" "${RETRIEVER_BATCH:=64}" "${RETRIEVER_LR:=5e-5}" "${RETRIEVER_EVAL_EVERY:=500}"
: "${SEED:=0}" "${PRECISION:=auto}" "${EVAL_K:=1,5,20,100}"
: "${BM25_OPTIONS:=}" "${READER_OPTIONS:=}" "${RETRIEVER_OPTIONS:=}" "${READ_OPTIONS:=}" "${EMBED_OPTIONS:=}"
: "${RETRIEVE_OPTIONS:=}" "${EVAL_OPTIONS:=}" "${SCORE_OPTIONS:=}"
: "${DRY_RUN:=0}" "${LAUNCH:=}"

# Paths are the caller's, the work is done inside $RUN.
for name in RUN TRAIN DEV TEST PASSAGES START READER RETRIEVER; do
  [[ $name == START && $START =~ ^(bm25|bert)$ ]] && continue   # the word, also where a folder is called so
  [[ -e ${!name} || $name =~ ^(RUN|TRAIN|DEV|TEST|PASSAGES)$ ]] && printf -v "$name" '%s' "$(absolute "${!name}")"
done

settings=(TRAIN DEV TEST PASSAGES START READER RETRIEVER K N_CONTEXT RETRIEVER_PASSAGES READER_STEPS READER_BATCH
  READER_LR READER_EVAL_EVERY RETRIEVER_STEPS RETRIEVER_BATCH RETRIEVER_LR RETRIEVER_EVAL_EVERY SEED PRECISION EVAL_K
  BM25_OPTIONS READER_OPTIONS RETRIEVER_OPTIONS READ_OPTIONS EMBED_OPTIONS RETRIEVE_OPTIONS EVAL_OPTIONS SCORE_OPTIONS)

say() { printf '%s\n' "$*" >&2; }

# quoted WORD…: as one would type them
quoted() {
  local word
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then printf '%s ' "$word"; else printf '%q ' "$word"; fi
  done
}

# fidtools for the commands that compute: on as many processes as LAUNCH starts
compute="${LAUNCH:+$LAUNCH --no-python }fidtools"

# stage OUTPUT COMMAND…: run the command with `-o OUTPUT`, unless the output is there already
stage() {
  local out=$1 shown; shift
  shown=$(quoted "$@" -o "$out")
  shown=${shown% }
  if [[ $DRY_RUN == 1 ]]; then echo "$shown"; return; fi
  if [[ -e $out ]]; then say "have $out"; return; fi
  say "\$ $shown"
  mkdir -p "$(dirname "$out")"
  "$@" -o "$out"
}

# A run keeps the settings it began with: outputs of other settings must not be mistaken for this run's.
same_settings() {
  local now name
  now=$(for name in "${settings[@]}"; do printf '%s=%s\n' "$name" "${!name}"; done)
  [[ $DRY_RUN == 1 ]] && return
  mkdir -p "$RUN"
  if [[ ! -f $RUN/settings.txt ]]; then printf '%s\n' "$now" >"$RUN/settings.txt"; return; fi
  diff "$RUN/settings.txt" <(printf '%s\n' "$now") >&2 && return
  say "iterate.sh: $RUN was begun with other settings (< then, > now): choose another RUN=…, or remove it"
  exit 2
}

# The data, fetched when it is absent and settings.sh says how by a function `fetch`.
data() {
  [[ -e $PASSAGES || $DRY_RUN == 1 ]] || ! declare -F fetch >/dev/null || fetch
  local file
  for file in "$PASSAGES" "$TRAIN" "$DEV" "$TEST"; do
    [[ -e $file || $DRY_RUN == 1 ]] || { say "iterate.sh: $file is missing; see examples/$dataset/README.md"; exit 1; }
  done
}

# retrieve_all I RETRIEVER: the passages of iteration I by a dense retriever
retrieve_all() {
  local i=$1 retriever=$2 split
  stage "$i/passages.npy" $compute embed "$PASSAGES" --retriever "$retriever" --precision "$PRECISION" --resume $EMBED_OPTIONS
  for split in train dev test; do
    stage "$i/$split.jsonl" $compute retrieve "$(questions "$split")" --retriever "$retriever" \
      --embeddings "$i/passages.npy" -p "$PASSAGES" -k "$K" --precision "$PRECISION" $RETRIEVE_OPTIONS
  done
}

questions() { case $1 in train) echo "$TRAIN" ;; dev) echo "$DEV" ;; test) echo "$TEST" ;; esac; }

# ranked SPLIT: the file of $START with the split's questions and passages
ranked() {
  local ending
  for ending in jsonl jsonl.gz json json.gz; do
    [[ -f $START/$1.$ending ]] && { echo "$START/$1.$ending"; return; }
  done
  say "iterate.sh: START=$START is neither bm25 nor bert, nor a folder with $1.jsonl or $1.json (.gz)"
  return 1
}

start() {
  local split file=
  case $START in
    bert) retrieve_all 0 "$RETRIEVER" ;;
    bm25) for split in train dev test; do
        stage "0/$split.jsonl" fidtools bm25 "$(questions "$split")" -p "$PASSAGES" -k "$K" --index bm25 $BM25_OPTIONS
      done ;;
    *) for split in train dev test; do
        [[ $DRY_RUN != 1 && -e 0/$split.jsonl ]] || file=$(ranked "$split")   # a run goes on without the folder it began with
        stage "0/$split.jsonl" fidtools convert "$file"
      done ;;
  esac
}

read_and_evaluate() {
  local i=$1 split
  stage "$i/reader" $compute train-reader "$i/train.jsonl" --dev "$i/dev.jsonl" --reader "$READER" --n-context "$N_CONTEXT" \
    --steps "$READER_STEPS" --batch "$READER_BATCH" --lr "$READER_LR" --eval-every "$READER_EVAL_EVERY" \
    --seed "$SEED" --precision "$PRECISION" --resume $READER_OPTIONS
  for split in dev test; do
    stage "$i/$split.answered.jsonl" $compute read "$i/$split.jsonl" --reader "$i/reader" --precision "$PRECISION" $READ_OPTIONS
    stage "$i/$split.json" fidtools eval "$i/$split.answered.jsonl" --k "$EVAL_K" --json $EVAL_OPTIONS
  done
}

distil() {
  local i=$1 next=$2 before=$3 split
  for split in train dev; do
    stage "$i/$split.scored.jsonl" $compute score-attn "$i/$split.jsonl" --reader "$i/reader" \
      --n-context "$RETRIEVER_PASSAGES" --precision "$PRECISION" $SCORE_OPTIONS
  done
  stage "$next/retriever" $compute train-retriever "$i/train.scored.jsonl" --dev "$i/dev.scored.jsonl" --retriever "$before" \
    --teacher attention --n-passages "$RETRIEVER_PASSAGES" --steps "$RETRIEVER_STEPS" --batch "$RETRIEVER_BATCH" \
    --lr "$RETRIEVER_LR" --eval-every "$RETRIEVER_EVAL_EVERY" --seed "$SEED" --precision "$PRECISION" --resume $RETRIEVER_OPTIONS
}

table() {
  local split=$1 i files=()
  for ((i = 0; i <= iterations; i++)); do files+=("$i/$split.answered.jsonl"); done
  if [[ $DRY_RUN == 1 ]]; then echo "fidtools eval ${files[*]} --k $EVAL_K $EVAL_OPTIONS"; return; fi
  fidtools eval "${files[@]}" --k "$EVAL_K" --json $EVAL_OPTIONS -o "table.$split.json"
  echo
  echo "$dataset, $split questions, per iteration:"
  fidtools eval "${files[@]}" --k "$EVAL_K" $EVAL_OPTIONS
}

same_settings
data
if [[ $DRY_RUN == 1 ]]; then printf 'mkdir -p %q && cd %q\n' "$RUN" "$RUN"; else cd "$RUN"; fi
start
read_and_evaluate 0
retriever=$RETRIEVER
for ((i = 0; i < iterations; i++)); do
  next=$((i + 1))
  distil "$i" "$next" "$retriever"
  retriever=$next/retriever
  retrieve_all "$next" "$retriever"
  read_and_evaluate "$next"
done
table dev
table test

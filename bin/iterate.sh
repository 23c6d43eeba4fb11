#!/usr/bin/env bash
# The iterative training of Izacard & Grave, section 3.5:   bin/iterate.sh DATASET N
#
# Retrieves passages to start with, then repeats N times: train the reader, score passages with its attention, train the
# retriever, embed, retrieve, evaluate. TEACHER=question-likelihood=1,bm25=1 chooses other scores (see docs/loop.md), and
# READ=0 leaves the reader out where they need none. Settings come from examples/DATASET/settings.sh; any of them can be set in the
# environment:
#
#   START=bert PROFILE=small bin/iterate.sh nq 4
#
# Everything is written to $RUN (runs/DATASET). A stage whose output exists is skipped, so a run that was interrupted
# continues when it is started again. DRY_RUN=1 prints the commands without running them.
# LAUNCH="torchrun --standalone --nproc-per-node 8" runs the stages that compute on eight processes. stages.jsonl in $RUN
# has the time of each stage.
set -euo pipefail
# shellcheck source=bin/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bin/teaching.sh
source "$here/bin/teaching.sh"

usage() {
  local datasets=("$here"/examples/*/settings.sh)
  datasets=("${datasets[@]%/settings.sh}")
  say "usage: bin/iterate.sh DATASET N   (datasets: ${datasets[*]##*/})"
  exit 2
}

[[ $# -eq 2 && $2 =~ ^(0|[1-9][0-9]{0,3})$ ]] || usage
dataset=$1 iterations=$2
[[ $dataset =~ ^[A-Za-z0-9_-]+$ && -f $here/examples/$dataset/settings.sh ]] || usage

options=(BM25_OPTIONS READER_OPTIONS RETRIEVER_OPTIONS READ_OPTIONS EMBED_OPTIONS RETRIEVE_OPTIONS EVAL_OPTIONS
  SCORE_OPTIONS LIKELIHOOD_OPTIONS)
read_options "${options[@]}" FETCH_OPTIONS SMOKE_OPTIONS GENERATE_OPTIONS

# Paths are relative to the caller's folder, but the stages run inside $RUN.
for name in RUN DATA DATA_ROOT; do [[ -z ${!name:-} ]] || printf -v "$name" '%s' "$(absolute "${!name}")"; done

# shellcheck disable=SC2034  # for settings.sh
DATASET_FOLDER=$here/examples/$dataset
settings=()    # those that only this dataset or profile has
made_from=()   # those of them that name what the dataset is made from
# shellcheck source=/dev/null
source "$DATASET_FOLDER/settings.sh"
read_options "${options[@]}" FETCH_OPTIONS SMOKE_OPTIONS GENERATE_OPTIONS

: "${RUN:=$here/runs/$dataset}"             # where everything is written
: "${START:=bm25}"                          # bm25 | bert (the untrained retriever) | a folder of ranked train/dev/test.jsonl
: "${DATA:?settings.sh must set the folder of the data}"
: "${TRAIN:=$DATA/train.jsonl}" "${DEV:=$DATA/dev.jsonl}" "${TEST:=$DATA/test.jsonl}"
: "${PASSAGES:=$DATA/passages.jsonl}"
: "${TEACHER:=attention}"                   # also likelihood, question-likelihood, bm25, or a mix: likelihood=1,bm25=1
: "${TEACHER_MODEL:=smollm}"                # the language model of likelihood and question-likelihood
: "${READ:=1}" "${FUSE:=0}"                 # READ=0: no reader. FUSE=1: rankings also fused with BM25's
[[ $READ == 0 ]] || : "${READER:?}"
: "${READER:=}" "${RETRIEVER:?}"            # the initial models: folders or names on the Hugging Face hub
: "${K:=100}"                               # passages retrieved per question
: "${PART_WORDS:=0}"                        # also rank passages by their best parts, of so many words
: "${N_CONTEXT:=100}"                       # passages the reader reads
: "${RETRIEVER_PASSAGES:=100}"              # passages per question that are scored and that the retriever is trained on
: "${READER_STEPS:=10000}" "${READER_BATCH:=64}" "${READER_LR:=1e-4}" "${READER_EVAL_EVERY:=500}"
: "${RETRIEVER_STEPS:=10000}" "${RETRIEVER_BATCH:=64}" "${RETRIEVER_LR:=5e-5}" "${RETRIEVER_EVAL_EVERY:=500}"
: "${SEED:=0}" "${PRECISION:=auto}" "${EVAL_K:=1,5,20,100}"

counts "one" K N_CONTEXT RETRIEVER_PASSAGES READER_STEPS READER_BATCH READER_EVAL_EVERY RETRIEVER_STEPS \
  RETRIEVER_BATCH RETRIEVER_EVAL_EVERY
counts "zero" SEED PART_WORDS
positive READER_LR RETRIEVER_LR
[[ $EVAL_K =~ ^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$ ]] || refuse EVAL_K "numbers from 1 to 999999999, with commas between them"
[[ $PRECISION =~ ^(auto|bf16|float32)$ ]] || refuse PRECISION "auto, bf16 or float32"

for name in RUN TRAIN DEV TEST PASSAGES START READER RETRIEVER TEACHER_MODEL; do
  [[ $name == START && $START =~ ^(bm25|bert)$ ]] && continue   # the word, even where a folder has that name
  [[ -e ${!name} || $name =~ ^(RUN|TRAIN|DEV|TEST|PASSAGES)$ ]] && printf -v "$name" '%s' "$(absolute "${!name}")"
done

settings=(TRAIN DEV TEST PASSAGES START READER RETRIEVER K N_CONTEXT RETRIEVER_PASSAGES READER_STEPS READER_BATCH
  READER_LR READER_EVAL_EVERY RETRIEVER_STEPS RETRIEVER_BATCH RETRIEVER_LR RETRIEVER_EVAL_EVERY SEED PRECISION EVAL_K
  "${options[@]}" ${settings[@]+"${settings[@]}"})
check_teaching
[[ $TEACHER/$READ/$FUSE == attention/1/0 ]] || settings+=(TEACHER TEACHER_MODEL READ FUSE)
[[ $PART_WORDS == 0 ]] || settings+=(PART_WORDS)

# Files and folders that a run is made from, by the names of their settings: what is in them must not change.
inputs=(TRAIN DEV TEST PASSAGES READER RETRIEVER)
if teaches likelihood || teaches question-likelihood; then inputs+=(TEACHER_MODEL); fi
for name in ${made_from[@]+"${made_from[@]}"}; do
  settings+=("$name") inputs+=("$name")
  [[ $name == *_MODEL && ! -e ${!name} ]] || printf -v "$name" '%s' "$(absolute "${!name}")"
  [[ $name == *_MODEL || -e ${!name} || -e $PASSAGES ]] || { say "setting $name: ${!name}: no such file or folder"; exit 2; }
done
known=("${settings[@]}" TEACHER_MODEL PART_WORDS FETCH_OPTIONS SMOKE_OPTIONS GENERATE_OPTIONS)
if declare -F use_profile >/dev/null; then known+=(PROFILE FETCH); fi   # the dataset takes its settings from examples/common.sh
name_unknown "${known[@]}"

# A run keeps the hashes of its inputs beside its settings. Those that are gone are not compared: a run can continue
# without them.
check_contents() {
  local name found=()
  [[ $DRY_RUN != 1 ]] || return 0
  for name in "${inputs[@]}"; do [[ ! -e ${!name} ]] || found+=("$name=${!name}"); done
  if [[ ! $START =~ ^(bm25|bert)$ ]]; then
    for name in "$START"/{train,dev,test}.json{l,}{,.gz}; do [[ ! -f $name ]] || found+=("${name##*/}=$name"); done
  fi
  if declare -F sampled >/dev/null; then   # the files that TRAIN, DEV and TEST are samples of
    while IFS= read -r name; do [[ ! -f ${name#*=} ]] || found+=("$name"); done < <(sampled)
  fi
  keep_contents RUN "$RUN" "${found[@]}"
}

# Fetch the data when it is absent and settings.sh defines a function `fetch`.
data() {
  local file fetched=0
  for file in "$PASSAGES" "$TRAIN" "$DEV" "$TEST"; do
    [[ ! -e $file && $DRY_RUN != 1 ]] || continue
    if declare -F fetch >/dev/null; then fetch; fi
    fetched=1
    break
  done
  [[ $fetched == 1 || $DRY_RUN == 1 || -z ${FETCH_OPTIONS[*]-} ]] || say "FETCH_OPTIONS is not used: $DATA is there already"
  for file in "$PASSAGES" "$TRAIN" "$DEV" "$TEST"; do
    [[ -e $file || $DRY_RUN == 1 ]] || { say "iterate.sh: $file is missing; see examples/$dataset/README.md"; exit 1; }
  done
}

questions() { case $1 in train) echo "$TRAIN" ;; dev) echo "$DEV" ;; test) echo "$TEST" ;; esac; }

# dense FOLDER RETRIEVER: the passages that a dense retriever finds, in FOLDER
dense() {
  local folder=$1 retriever=$2 split
  embed_passages "$folder/passages.npy" "$retriever"
  [[ $PART_WORDS == 0 ]] || embed_passages "$folder/parts.npy" "$retriever" parts.jsonl
  for split in train dev test; do
    if [[ $PART_WORDS == 0 ]]; then
      retrieve_passages "$folder/$split.jsonl" "$(questions "$split")" "$retriever" "$folder/passages.npy"
    else
      by_parts "$folder" "$split" "$retriever"
    fi
  done
}

# by_parts FOLDER SPLIT RETRIEVER: passages ranked by their vectors and by those of their best parts
by_parts() {
  local folder=$1 split=$2 retriever=$3 to=$1/$2
  retrieve_passages "$to.whole.jsonl" "$(questions "$split")" "$retriever" "$folder/passages.npy"
  retrieve_passages "$to.parts.jsonl" "$(questions "$split")" "$retriever" "$folder/parts.npy" parts.jsonl $((K * 5))
  stage "$to.best-parts.jsonl" fidtools collapse "$to.parts.jsonl" -p "$PASSAGES" -k "$K"
  stage "$to.jsonl" fidtools fuse "$to.whole.jsonl" "$to.best-parts.jsonl" --method zscores -k "$K"
}

# ranked SPLIT: the file in $START with the split's questions and their passages
ranked() {
  local ending
  for ending in jsonl jsonl.gz json json.gz; do
    [[ -f $START/$1.$ending ]] && { echo "$START/$1.$ending"; return; }
  done
  say "iterate.sh: START=$START is neither bm25 nor bert, nor a folder with $1.jsonl or $1.json (.gz)"
  return 1
}

# The passages of iteration 0.
start() {
  local split file=
  case $START in
    bert) dense 0 "$RETRIEVER" ;;
    bm25) for split in train dev test; do
        stage "0/$split.jsonl" fidtools bm25 "$(questions "$split")" -p "$PASSAGES" -k "$K" --index bm25 \
          ${BM25_OPTIONS[@]+"${BM25_OPTIONS[@]}"}
      done ;;
    *) for split in train dev test; do
        # a run can continue after the folder it was started from is gone
        [[ $DRY_RUN != 1 && -e 0/$split.jsonl ]] || file=$(ranked "$split")
        stage "0/$split.jsonl" fidtools convert "$file"
      done ;;
  esac
}

# train_reader I: the reader of iteration I, and its answers to the dev and test questions
train_reader() {
  local i=$1 split
  if [[ $READ == 0 ]]; then evaluate_rankings "$i"; return; fi
  stage "$i/reader" "${compute[@]}" train-reader "$i/train.jsonl" --dev "$i/dev.jsonl" --reader "$READER" \
    --n-context "$N_CONTEXT" --steps "$READER_STEPS" --batch "$READER_BATCH" --lr "$READER_LR" \
    --eval-every "$READER_EVAL_EVERY" --seed "$SEED" --precision "$PRECISION" --resume \
    ${READER_OPTIONS[@]+"${READER_OPTIONS[@]}"}
  for split in dev test; do
    stage "$i/$split.answered.jsonl" "${compute[@]}" read "$i/$split.jsonl" --reader "$i/reader" --resume \
      --precision "$PRECISION" ${READ_OPTIONS[@]+"${READ_OPTIONS[@]}"}
    evaluate "$i/$split.json" "$i/$split.answered.jsonl"
  done
}

# distil I NEXT RETRIEVER: train the next retriever on TEACHER's scores of iteration I's passages
distil() {
  local i=$1 next=$2 retriever=$3 scored train target
  score_passages "$i" train; train=$scored
  score_passages "$i" dev
  target_options
  stage "$i/teacher-report.txt" fidtools teacher-report "$scored" --teacher "$TEACHER" \
    --n-passages "$RETRIEVER_PASSAGES" ${target[@]+"${target[@]}"}   # warns of what teaches nothing
  train_retriever "$next/retriever" "$train" "$scored" "$retriever" "$SEED" "$TEACHER"
}

# all_iterations: count those that an earlier start with a larger N has finished: the report has them, and so do the tables
all_iterations() {
  local last=test.json asked=$iterations
  if ranks_together; then last=test.fused.json; fi
  if ! measurable test; then last=${last}l; fi   # the ranking itself
  [[ $DRY_RUN != 1 ]] || return 0
  while [[ -e $((iterations + 1))/$last ]]; do iterations=$((iterations + 1)); done
  [[ $iterations == "$asked" ]] || say "iterate.sh: $RUN has iterations up to $iterations, not only to $asked: the tables show all of them"
}

# table SPLIT: one row per iteration, printed and kept as JSON
table() {
  local split=$1 i command=(fidtools eval)
  if ! measurable "$split"; then
    say "iterate.sh: nothing is measured on the $split questions: none has \`answers\` or \`gold\`"
    return
  fi
  if [[ $READ == 0 ]]; then
    while IFS= read -r i; do command+=("$i"); done < <(ranked_files "$split")
  else
    for ((i = 0; i <= iterations; i++)); do command+=("$i/$split.answered.jsonl"); done
  fi
  command+=(--k "$EVAL_K" ${EVAL_OPTIONS[@]+"${EVAL_OPTIONS[@]}"})
  if [[ $DRY_RUN == 1 ]]; then perform "${command[@]}"; return; fi
  "${command[@]}" --json -o "table.$split.json"
  echo
  echo "$dataset, $split questions, per iteration:"
  "${command[@]}"
}

# report: one page about the run, to open in a browser
report() {
  if ! measurable test; then [[ $iterations == 0 ]] || say "the last retriever: $RUN/$iterations/retriever"; return; fi
  perform fidtools report . -o report.html
  [[ $DRY_RUN == 1 ]] || say "report: $RUN/report.html"
}

launch
need_fidtools
one_at_a_time "$RUN"
keep_settings "$RUN" "${settings[@]}"
data
check_contents
folders=()
for ((i = 0; i <= iterations; i++)); do folders+=("$i"); done
if ranks_together; then folders+=(start); fi
work_in "$RUN" "${folders[@]}"
[[ $PART_WORDS == 0 ]] || stage parts.jsonl fidtools chunk "$PASSAGES" --sentences --words "$PART_WORDS"
start
train_reader 0
if ranks_together; then untouched; fi
retriever=$RETRIEVER
for ((i = 0; i < iterations; i++)); do
  next=$((i + 1))
  distil "$i" "$next" "$retriever"
  retriever=$next/retriever
  dense "$next" "$retriever"
  train_reader "$next"
done
all_iterations
table dev
table test
report

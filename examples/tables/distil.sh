# shellcheck shell=bash
# What Tables 5 and 6 share: one iteration of the loop from BM25's passages, in which the reader writes the scores of
# every aggregation, and then retrievers trained in several ways on the same scores. SCORED=folder takes train.jsonl and
# dev.jsonl (with `ctxs` and scores) from there and runs no reader; then PASSAGES, DEV and RETRIEVER are required.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export RUNS
: "${DATASET:=nq}" "${SCORED:=}" "${TEACHER:=attention}"

# begin SEED: set the folder of this seed's retrievers, the scores, and the settings they were made with. Call it in a
# subshell: the settings of one seed must not reach the next.
begin() {
  local base=$RUNS/seed-$1/$DATASET-scored name value
  # shellcheck disable=SC2154  # the table scripts set `table`
  folder=$RUNS/seed-$1/$DATASET-$table
  scored=$base/0 suffix=.scored
  if [[ -n $SCORED ]]; then
    : "${PASSAGES:?}" "${DEV:?}" "${RETRIEVER:?}"
    SCORED=$(absolute "$SCORED") PASSAGES=$(absolute "$PASSAGES") DEV=$(absolute "$DEV")
    [[ ! -e $RETRIEVER ]] || RETRIEVER=$(absolute "$RETRIEVER")
    scored=$SCORED suffix=
  else
    SEEDS=$1 run "$DATASET-scored" "$DATASET" 1 START=bm25 SCORE_OPTIONS="--aggregate all"
    if [[ $DRY_RUN == 1 && ! -e $base/settings.txt ]]; then
      say "$table.sh: the retrievers take their settings from that run: once it has begun, a dry run prints them"
      exit
    fi
    while IFS='=' read -r name value; do printf -v "$name" %s "$value"; done <"$base/settings.txt"
  fi
  one_at_a_time "$folder"
  # shellcheck disable=SC2034  # for bin/lib.sh
  stage_log=$folder/stages.jsonl
  : "${K:=100}" "${RETRIEVER_PASSAGES:=100}" "${RETRIEVER_STEPS:=10000}" "${RETRIEVER_BATCH:=64}" "${RETRIEVER_LR:=5e-5}"
  : "${RETRIEVER_EVAL_EVERY:=500}" "${PRECISION:=auto}" "${EVAL_K:=1,5,20,100}"
  read_options RETRIEVER_OPTIONS EMBED_OPTIONS RETRIEVE_OPTIONS EVAL_OPTIONS
  launch
  keep_settings "$folder" SCORED PASSAGES DEV RETRIEVER TEACHER VALUE_NORM_TEMPERATURE K RETRIEVER_PASSAGES \
    RETRIEVER_STEPS RETRIEVER_BATCH RETRIEVER_LR RETRIEVER_EVAL_EVERY PRECISION EVAL_K RETRIEVER_OPTIONS EMBED_OPTIONS \
    RETRIEVE_OPTIONS EVAL_OPTIONS
  check_scores
}

# check_scores: refuse retrievers that were made from other contents
check_scores() {
  local split inputs=(PASSAGES="$PASSAGES" DEV="$DEV")
  for split in train dev; do inputs+=("$split=$scored/$split$suffix.jsonl"); done
  [[ ! -e $RETRIEVER ]] || inputs+=(RETRIEVER="$RETRIEVER")
  keep_contents RUNS "$folder" "${inputs[@]}"
}

# distil SEED NAME TEACHER [OPTION…]: train a retriever with these options, retrieve for dev, evaluate
distil() {
  local seed=$1 out=$folder/$2 teacher=$3 select=(--select overlap); shift 3
  [[ " $* " != *" --loss infonce "* ]] || select=()   # it reads labels, and no teacher whose ranking could be compared
  [[ $DRY_RUN != 1 ]] || perform mkdir -p "$out"
  train_retriever "$out/retriever" "$scored/train$suffix.jsonl" "$scored/dev$suffix.jsonl" "$RETRIEVER" "$seed" "$teacher" \
    ${select[@]+"${select[@]}"} "$@"
  embed_passages "$out/passages.npy" "$out/retriever"
  retrieve_passages "$out/dev.jsonl" "$DEV" "$out/retriever" "$out/passages.npy"
  evaluate "$out/dev.json" "$out/dev.jsonl"
}

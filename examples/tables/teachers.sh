#!/usr/bin/env bash
# What teaches best? One retriever per teacher, trained on the same scored passages, tested alone and fused with BM25.
#
#   SCORED=folder RUNS=folder examples/tables/teachers.sh
#   SCORED=folder RUNS=folder SEEDS="0 1 2" TEACHERS="bm25 question-likelihood=1,bm25=1 labels" examples/tables/teachers.sh
#
# SCORED has passages.jsonl, and train, dev.scored, dev and test.jsonl. The passages of train.jsonl and dev.scored.jsonl have
# the teachers' scores. dev.jsonl (which chooses how to fuse) and test.jsonl are questions with answers; `gold` is used where
# it is there. The teacher `labels` stands for InfoNCE on the passages with an answer. Settings are those of bin/iterate.sh.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
: "${SCORED:?must be a folder with scored passages}" "${RETRIEVER:=minilm}" "${K:=100}" "${EVAL_K:=1,5,20}"
: "${TEACHERS:=bm25 likelihood question-likelihood likelihood=1,bm25=1 question-likelihood=1,bm25=1 likelihood=1,question-likelihood=1,bm25=1 labels}"
: "${RETRIEVER_PASSAGES:=4}" "${RETRIEVER_STEPS:=60}" "${RETRIEVER_BATCH:=16}" "${RETRIEVER_LR:=5e-5}"
: "${RETRIEVER_EVAL_EVERY:=$RETRIEVER_STEPS}" "${PRECISION:=auto}"
given RETRIEVER_OPTIONS ||
  RETRIEVER_OPTIONS=(--optimizer adamw --weight-decay 0.01 --schedule linear --warmup 6 --dropout 0)
SCORED=$(absolute "$SCORED")
[[ -e $SCORED/passages.jsonl || ! -e $SCORED/passages.jsonl.gz ]] || : "${PASSAGES:=$SCORED/passages.jsonl.gz}"
PASSAGES=$(absolute "${PASSAGES:-$SCORED/passages.jsonl}")
[[ ! -e $RETRIEVER ]] || RETRIEVER=$(absolute "$RETRIEVER")
read_options RETRIEVER_OPTIONS EMBED_OPTIONS RETRIEVE_OPTIONS
launch
: "${TEACHER_TEMPERATURE:=0.4}"
settings=(SCORED PASSAGES RETRIEVER K RETRIEVER_PASSAGES RETRIEVER_STEPS RETRIEVER_BATCH RETRIEVER_LR RETRIEVER_EVAL_EVERY
  TEACHER_TEMPERATURE RETRIEVER_OPTIONS EMBED_OPTIONS RETRIEVE_OPTIONS PRECISION)
one_at_a_time "$RUNS"
keep_settings "$RUNS" "${settings[@]}"
inputs=(PASSAGES="$PASSAGES")
for name in train dev.scored dev test; do inputs+=("$name=$SCORED/$name.jsonl"); done
[[ ! -e $RETRIEVER ]] || inputs+=(RETRIEVER="$RETRIEVER")
keep_contents RUNS "$RUNS" "${inputs[@]}"

# name_of TEACHER: the name of its folders
name_of() {
  local name=$1,
  name=${name//=1,/,} name=${name%,}
  printf '%s\n' "${name//,/+}"
}

# dense FOLDER RETRIEVER: the rankings of dev and test by a retriever, alone and fused with BM25's
dense() {
  local split
  embed_passages "$1/passages.npy" "$2"
  for split in dev test; do retrieve_passages "$1/$split.jsonl" "$SCORED/$split.jsonl" "$2" "$1/passages.npy"; done
  stage "$1/fusion.json" fidtools fuse bm25/dev.jsonl "$1/dev.jsonl" --tune "$SCORED/dev.jsonl"
  stage "$1/test.fused.jsonl" fidtools fuse bm25/test.jsonl "$1/test.jsonl" -k "$K" --tuned "$1/fusion.json"
}

folders=(bm25 start)
for teacher in $TEACHERS; do
  for seed in $SEEDS; do folders+=("seed-$seed/$(name_of "$teacher")"); done
done
work_in "$RUNS" "${folders[@]}"
for split in dev test; do
  stage "bm25/$split.jsonl" fidtools bm25 "$SCORED/$split.jsonl" -p "$PASSAGES" --index bm25/index -k "$K"
done
dense start "$RETRIEVER"
names=()
for teacher in $TEACHERS; do
  name=$(name_of "$teacher")
  names+=("$name")
  options=(--teacher-temperature "$TEACHER_TEMPERATURE" --in-batch)
  [[ $teacher != labels ]] || options=(--loss infonce --labels answer) teacher=bm25
  for seed in $SEEDS; do
    train_retriever "seed-$seed/$name/retriever" "$SCORED/train.jsonl" "$SCORED/dev.scored.jsonl" "$RETRIEVER" "$seed" \
      "$teacher" "${options[@]}"
    dense "seed-$seed/$name" "seed-$seed/$name/retriever"
  done
done
perform python "$tables/teachers.py" . --k "$EVAL_K" --seeds "$SEEDS" "${names[@]}"

# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here, $dataset and uses the settings
# What the settings of all datasets share. The settings.sh of each sources it.
#
# PROFILE=paper  the paper's settings: models and sizes of Table 7, for one machine with several large GPUs
# PROFILE=small  the same models with fewer passages and steps, for one GPU of 24 GB
# PROFILE=laptop two cores, no hub, 40 minutes an iteration: MiniLM learns from a small language model (bin/setup laptop)
# PROFILE=smoke  a few hundred questions and tiny untrained models: checks in minutes on two cores that everything runs
: "${PROFILE:=paper}"
: "${DATA:=${DATA_ROOT:-$here/data}/${FETCH:-$dataset}}"   # FETCH: another variant of the dataset

fetch_dataset() {
  [[ -e $DATA/dataset.json || -e $(data_file test) ]] ||
    fidtools fetch "${FETCH:-$dataset}" -o "$DATA" ${FETCH_OPTIONS[@]+"${FETCH_OPTIONS[@]}"}
}
fetch() { fetch_dataset; }

# take_sample SETTING…: the run is made from a sample of the dataset, drawn by these settings. It keeps them.
take_sample() {
  local name
  for name in TRAIN DEV TEST PASSAGES; do
    [[ -z ${!name:-} ]] || { say "setting $name: PROFILE=$PROFILE draws its files from DATA: name a folder there"; exit 2; }
  done
  SAMPLE=$(absolute "${RUN:-$here/runs/$dataset}")/sample
  settings+=(DATA FETCH FETCH_OPTIONS "$@")
  # shellcheck disable=SC2329  # bin/iterate.sh calls `sampled`
  sampled() { local split; for split in train dev test; do echo "DATA/$split=$(data_file "$split")"; done; }
}

# data_file NAME: the file of that name in $DATA, compressed or not
data_file() { if [[ ! -e $DATA/$1.jsonl && -e $DATA/$1.jsonl.gz ]]; then echo "$DATA/$1.jsonl.gz"; else echo "$DATA/$1.jsonl"; fi; }

# corpus_file: the passages in $DATA; DPR's table where there is no passages.jsonl
corpus_file() {
  local passages; passages=$(data_file passages)
  if [[ -e $passages || ! $dataset =~ ^(nq|triviaqa)$ ]]; then echo "$passages"; else echo "$DATA/psgs_w100.tsv"; fi
}

# shellcheck disable=SC2329  # bin/iterate.sh calls `fetch`
profile_smoke() {
  take_sample SMOKE_OPTIONS
  fetch() {
    fetch_dataset
    python "$here/examples/smoke.py" "$(corpus_file)" "$DATA" -o "$SAMPLE" ${SMOKE_OPTIONS[@]+"${SMOKE_OPTIONS[@]}"}
  }
  TRAIN=$SAMPLE/train.jsonl DEV=$SAMPLE/dev.jsonl TEST=$SAMPLE/test.jsonl PASSAGES=$SAMPLE/passages.jsonl
  : "${READER:=$SAMPLE/reader}" "${RETRIEVER:=$SAMPLE/retriever}"
  : "${K:=20}" "${N_CONTEXT:=5}" "${RETRIEVER_PASSAGES:=10}" "${EVAL_K:=1,5,20}"
  : "${READER_STEPS:=60}" "${READER_BATCH:=8}" "${READER_LR:=1e-3}" "${READER_EVAL_EVERY:=30}"
  : "${RETRIEVER_STEPS:=40}" "${RETRIEVER_BATCH:=8}" "${RETRIEVER_LR:=3e-4}" "${RETRIEVER_EVAL_EVERY:=20}"
  # the attention of an untrained reader is nearly uniform: a low temperature sharpens it
  given RETRIEVER_OPTIONS || RETRIEVER_OPTIONS=(--teacher-temperature 0.01)
  : "${PRECISION:=float32}"
}

profile_small() {
  : "${READER:=google-t5/t5-base}" "${RETRIEVER:=bert-base-uncased}"
  : "${K:=100}" "${N_CONTEXT:=20}" "${RETRIEVER_PASSAGES:=50}"
  : "${READER_STEPS:=5000}" "${READER_BATCH:=32}" "${READER_LR:=1e-4}" "${READER_EVAL_EVERY:=500}"
  : "${RETRIEVER_STEPS:=5000}" "${RETRIEVER_BATCH:=32}" "${RETRIEVER_LR:=5e-5}" "${RETRIEVER_EVAL_EVERY:=500}"
  given RETRIEVER_OPTIONS || RETRIEVER_OPTIONS=(--patience 4 --gradient-checkpointing)
  READER_OPTIONS+=(--gradient-checkpointing)
}

# Section 4.2 and Table 7. Early stopping ends the retriever's training when its performance saturates.
profile_paper() {
  : "${READER:=google-t5/t5-base}" "${RETRIEVER:=bert-base-uncased}"
  : "${K:=100}" "${N_CONTEXT:=100}" "${RETRIEVER_PASSAGES:=100}"
  : "${READER_STEPS:=10000}" "${READER_BATCH:=64}" "${READER_LR:=1e-4}" "${READER_EVAL_EVERY:=500}"
  : "${RETRIEVER_STEPS:=20000}" "${RETRIEVER_BATCH:=64}" "${RETRIEVER_LR:=5e-5}" "${RETRIEVER_EVAL_EVERY:=500}"
  given RETRIEVER_OPTIONS || RETRIEVER_OPTIONS=(--patience 4)
  given BM25_OPTIONS || BM25_OPTIONS=(--engine lucene --analyzer spacy)
}

# The models of bin/setup laptop. The teacher reads questions only; TEACHER=likelihood=1,bm25=1 uses their answers too.
laptop_settings() {
  : "${RETRIEVER:=minilm}" "${TEACHER:=question-likelihood=1,bm25=1}" "${READ:=0}"
  : "${START:=bm25}"
  : "${FUSE:=$([[ $READ/$START == 0/bm25 ]] && echo 1 || echo 0)}"
  [[ $READ == 0 ]] || : "${READER:?READ=1 needs a reader}"
  : "${K:=20}" "${PART_WORDS:=40}" "${N_CONTEXT:=6}" "${RETRIEVER_PASSAGES:=12}" "${EVAL_K:=1,5,20}"
  : "${RETRIEVER_STEPS:=75}" "${RETRIEVER_BATCH:=16}" "${RETRIEVER_LR:=5e-5}" "${RETRIEVER_EVAL_EVERY:=25}"
  given RETRIEVER_OPTIONS ||
    RETRIEVER_OPTIONS=(--dropout 0 --schedule linear --warmup 5 --teacher-temperature 0.4)
}

# shellcheck disable=SC2329  # bin/iterate.sh calls `fetch`
profile_laptop() {
  # more questions with fewer passages each: the other questions' passages are candidates, too
  : "${TRAIN_QUESTIONS:=960}" "${DEV_QUESTIONS:=200}" "${TEST_QUESTIONS:=500}" "${RETRIEVER_BATCH:=16}"
  counts one TRAIN_QUESTIONS DEV_QUESTIONS TEST_QUESTIONS RETRIEVER_BATCH
  : "${RETRIEVER_STEPS:=$(((TRAIN_QUESTIONS + RETRIEVER_BATCH - 1) / RETRIEVER_BATCH))}"   # each question once
  : "${RETRIEVER_PASSAGES:=4}" "${RETRIEVER_EVAL_EVERY:=30}"
  given RETRIEVER_OPTIONS ||
    RETRIEVER_OPTIONS=(--dropout 0 --in-batch --schedule linear --warmup 6 --teacher-temperature 0.4)
  laptop_settings
  take_sample TRAIN_QUESTIONS DEV_QUESTIONS TEST_QUESTIONS
  TRAIN=$SAMPLE/train.jsonl DEV=$SAMPLE/dev.jsonl TEST=$SAMPLE/test.jsonl
  local corpus; corpus=$(corpus_file)
  PASSAGES=$SAMPLE/${corpus##*/}
  fetch() {
    fetch_dataset
    mkdir -p "$SAMPLE"
    python "$here/examples/sample.py" "$(data_file train)" "$TRAIN_QUESTIONS" -o "$TRAIN"
    python "$here/examples/sample.py" "$(data_file dev)" "$DEV_QUESTIONS" -o "$DEV"
    python "$here/examples/sample.py" "$(data_file test)" "$TEST_QUESTIONS" -o "$TEST"
    ln -sf "$(absolute "$(corpus_file)")" "$PASSAGES"
  }
}

use_profile() {
  if ! declare -F "profile_$PROFILE" >/dev/null; then
    say "settings: PROFILE=$PROFILE is none of$(declare -F | sed -n 's/.* profile_/ /p' | tr -d '\n')"; exit 2
  fi
  "profile_$PROFILE"
  : "${TRAIN:=$(data_file train)}" "${DEV:=$(data_file dev)}" "${TEST:=$(data_file test)}" "${PASSAGES:=$(corpus_file)}"
}

# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# Your own documents: text files in DOCUMENTS, questions with answers in QUESTIONS. Three fifths of the questions are for
# training, one fifth for validation (dev) and one for the test.
#
# PROFILE=laptop (after bin/setup laptop) learns for real, on two cores and without a hub: MiniLM finds the passages, and a
# small language model teaches it from the questions alone. Otherwise READER and RETRIEVER are yours:
#
#   DOCUMENTS=~/handbook QUESTIONS=~/questions.jsonl READER=google-t5/t5-small RETRIEVER=minilm RUN=~/run bin/iterate.sh mydocs 2
#
# QUESTIONS=generated needs no questions: QUESTION_MODEL, a language model, writes them about the documents.
: "${DOCUMENTS:=$DATASET_FOLDER/documents}" "${QUESTIONS:=$DATASET_FOLDER/questions.jsonl}"
: "${DATA:=$(absolute "${RUN:-$here/runs/mydocs}")/data}"
[[ ${PROFILE:-smoke} =~ ^(laptop|smoke)$ ]] || { say "setting PROFILE: $PROFILE is none of laptop, smoke"; exit 2; }
if [[ ${PROFILE:-} == laptop ]]; then
  source "$here/examples/common.sh"
  : "${K:=10}" "${EVAL_K:=1,3,5}"
  laptop_settings
fi
: "${READER:=$DATA/models/reader}" "${RETRIEVER:=$DATA/models/retriever}"

# the attention of an untrained reader is nearly uniform: a low temperature sharpens it
if [[ $READER == "$DATA/models/reader" ]]; then given RETRIEVER_OPTIONS || RETRIEVER_OPTIONS=(--teacher-temperature 0.01); fi

made_from=(DOCUMENTS QUESTIONS)
if [[ $QUESTIONS == generated ]]; then
  : "${QUESTION_MODEL:=smollm}"
  made_from=(DOCUMENTS QUESTION_MODEL) settings+=(QUESTIONS GENERATE_OPTIONS)
  given GENERATE_OPTIONS || GENERATE_OPTIONS=(--per-passage 12 --temperature 0.7)
  # the model that wrote a question finds it likely from the passage it read: that says little about the others
  RETRIEVER_OPTIONS=(--source-passage cap ${RETRIEVER_OPTIONS[@]+"${RETRIEVER_OPTIONS[@]}"})
fi

# keep_data: refuse a folder whose files `fetch` would replace and did not write. It leaves .made there when it begins.
keep_data() {
  local name names=(train dev test passages chunks split)
  if [[ -e ${TRAIN:-$DATA/train.jsonl} && -e ${DEV:-$DATA/dev.jsonl} && -e ${TEST:-$DATA/test.jsonl} &&
    -e ${PASSAGES:-$DATA/passages.jsonl} ]] || [[ -e $DATA/.made ]]; then return; fi
  [[ $QUESTIONS != generated ]] || names+=(questions)
  for name in "${names[@]}"; do
    [[ -e $DATA/$name.jsonl ]] || continue
    say "setting DATA: $DATA/$name.jsonl would be replaced: choose a folder without it, or with all of train, dev, test and passages.jsonl"
    exit 2
  done
}
keep_data

# generate_questions: train, dev and test questions about the passages, of different documents
generate_questions() {
  fidtools generate-questions "$DATA/chunks.jsonl" --model "$QUESTION_MODEL" --split "$DATA/questions" --shares 60,20,20 \
    --seed "$SEED" --precision "$PRECISION" --resume -o "$DATA/questions.jsonl" \
    ${GENERATE_OPTIONS[@]+"${GENERATE_OPTIONS[@]}"}
  cp "$DATA"/questions/{train,dev,test}.jsonl "$DATA"
  rm -rf "$DATA"/chunks.jsonl.*   # its indexes: the passages get another name
}

split_questions() {
  local lines=$DATA/split.jsonl   # QUESTIONS may be in DATA, too
  fidtools convert "$QUESTIONS" --to jsonl -o "$lines"   # a format of questions: what holds passages is refused
  awk 'NR % 5 == 4' "$lines" >"$DATA/dev.jsonl"
  awk 'NR % 5 == 0' "$lines" >"$DATA/test.jsonl"
  awk 'NR % 5 && NR % 5 < 4' "$lines" >"$DATA/train.jsonl"
  [[ -s $DATA/test.jsonl ]] || { say "iterate.sh: $QUESTIONS: five questions are needed at least"; exit 1; }
}

fetch() {
  mkdir -p "$DATA"
  touch "$DATA/.made"
  fidtools chunk "$DOCUMENTS" -o "$DATA/chunks.jsonl"
  if [[ $QUESTIONS == generated ]]; then generate_questions; else split_questions; fi
  [[ ${PROFILE:-} == laptop ]] ||
    python "$here/examples/smoke.py" "$DATA/chunks.jsonl" "$DATA" -o "$DATA/models"   # tiny models, the defaults of READER and RETRIEVER
  mv "$DATA/chunks.jsonl" "$DATA/passages.jsonl"
}

: "${K:=10}" "${N_CONTEXT:=5}" "${RETRIEVER_PASSAGES:=10}" "${EVAL_K:=1,3,5}"
: "${READER_STEPS:=200}" "${READER_BATCH:=8}" "${READER_LR:=5e-4}" "${READER_EVAL_EVERY:=50}"
: "${RETRIEVER_STEPS:=100}" "${RETRIEVER_BATCH:=8}" "${RETRIEVER_LR:=5e-5}" "${RETRIEVER_EVAL_EVERY:=25}"

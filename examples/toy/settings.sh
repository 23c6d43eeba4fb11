# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# The toy world: generated locally, with tiny models that ship with the project. Five minutes on two free CPU cores.
: "${DATA:=$here/data/toy}"
fetch() { fidtools fetch toy -o "$DATA" ${FETCH_OPTIONS[@]+"${FETCH_OPTIONS[@]}"}; }

: "${READER:=$DATASET_FOLDER/models/reader}" "${RETRIEVER:=$DATASET_FOLDER/models/retriever}"
: "${K:=20}" "${N_CONTEXT:=10}" "${RETRIEVER_PASSAGES:=20}" "${EVAL_K:=1,5,20}"
: "${READER_STEPS:=70}" "${READER_BATCH:=32}" "${READER_LR:=1e-3}" "${READER_EVAL_EVERY:=70}"
: "${RETRIEVER_STEPS:=100}" "${RETRIEVER_BATCH:=32}" "${RETRIEVER_LR:=1e-3}" "${RETRIEVER_EVAL_EVERY:=100}"
given READER_OPTIONS || READER_OPTIONS=(--dropout 0 --schedule linear --warmup 10)
given RETRIEVER_OPTIONS || RETRIEVER_OPTIONS=(--dropout 0 --schedule linear --warmup 10 --teacher-temperature 3)

# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# SQuAD 1.1 as an open corpus: 490 articles split into passages of 100 words; every question searches all of them.
#
# Small enough for a whole run on one GPU in an afternoon; otherwise it is the paper's method.
# PROFILE=minilm works without the Hugging Face hub: the retriever is MiniLM from a Python package, and start_reader.py makes
# READER=… from it.
source "$here/examples/common.sh"

profile_minilm() {
  : "${READER:?must be a folder made by examples/squad/start_reader.py}" "${RETRIEVER:=minilm}"
  : "${K:=50}" "${N_CONTEXT:=6}" "${RETRIEVER_PASSAGES:=20}" "${EVAL_K:=1,5,20}"
  : "${READER_STEPS:=100}" "${READER_BATCH:=16}" "${READER_LR:=1e-4}" "${READER_EVAL_EVERY:=50}"
  given READER_OPTIONS || READER_OPTIONS=(--dropout 0 --schedule linear --warmup 10)
  : "${RETRIEVER_STEPS:=100}" "${RETRIEVER_BATCH:=16}" "${RETRIEVER_LR:=3e-5}" "${RETRIEVER_EVAL_EVERY:=50}"
  given RETRIEVER_OPTIONS || RETRIEVER_OPTIONS=(--dropout 0 --schedule linear --warmup 10 --teacher-temperature 0.2)
}

given EVAL_OPTIONS || EVAL_OPTIONS=(--profile squad)
use_profile

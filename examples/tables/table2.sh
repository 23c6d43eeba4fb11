#!/usr/bin/env bash
# Tables 2 and 3: exact match and retrieval from BERT's, BM25's and DPR's passages, each at its best iteration on dev; and
# the large reader on the passages of the best run (LARGE=0 skips it). Without DPR=FOLDER the rows of DPR stay empty.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for dataset in $DATASETS; do
  run "$dataset-bm25" "$dataset" "${ITERATIONS:-3}" START=bm25
  run "$dataset-bert" "$dataset" "${ITERATIONS:-$([[ $dataset == triviaqa ]] && echo 4 || echo 3)}" START=bert
  folder=$(dpr "$dataset") || continue
  run "$dataset-dpr" "$dataset" "${ITERATIONS:-2}" START="$folder"
  [[ ${LARGE:-1} == 1 ]] || continue
  if [[ $DRY_RUN == 1 ]]; then say "table2.sh: the large reader's iteration is known after these: not printed"; continue; fi
  for seed in $SEEDS; do
    best=$(python "$tables/best.py" "$RUNS/seed-$seed/$dataset-dpr")
    SEEDS=$seed run "$dataset-dpr-large" "$dataset" 0 START="$best" READER="${LARGE_READER:-google-t5/t5-large}" \
      READER_STEPS="${LARGE_STEPS:-15000}" READER_LR=5e-5 READER_OPTIONS="${LARGE_OPTIONS:---preset large}"
  done
done
show 2
[[ $DRY_RUN == 1 ]] || echo
show 3

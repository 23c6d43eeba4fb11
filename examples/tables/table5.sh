#!/usr/bin/env bash
# Table 5: the training objectives, after one iteration from BM25's passages. Not in the paper: margin-MSE, and
# the supervised comparison (InfoNCE on passages that hold an answer).
#
#   DATASET=squad PROFILE=small SEEDS="0 1 2" examples/tables/table5.sh
#   DATASET=toy OBJECTIVES="mse kl" examples/tables/table5.sh
table=table5
source "$(dirname "${BASH_SOURCE[0]}")/distil.sh"
: "${OBJECTIVES:=mse margin-1 margin-0.2 margin-0.1 kl margin-mse infonce}"

options() {
  case $1 in
    margin-mse | mse | kl) echo "--loss $1" ;;
    margin-*) echo "--loss margin --gamma ${1#margin-}" ;;
    infonce) echo "--loss infonce --labels answer" ;;
  esac
}

for seed in $SEEDS; do
  begin "$seed"
  for name in $OBJECTIVES; do distil "$seed" "$name" $(options "$name") --teacher "$TEACHER"; done
done
python "$tables/variants.py" 5 "$RUNS" "$DATASET-$table" $OBJECTIVES

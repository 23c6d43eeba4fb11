#!/usr/bin/env bash
# Table 5: the training objectives, after one iteration from BM25's passages. Not in the paper: margin-MSE, and
# a supervised comparison (InfoNCE on passages that contain an answer).
#
#   DATASET=squad PROFILE=small SEEDS="0 1 2" examples/tables/table5.sh
#   DATASET=toy OBJECTIVES="mse kl" examples/tables/table5.sh
# shellcheck disable=SC2034  # for distil.sh
table=table5
# shellcheck source=examples/tables/distil.sh
source "$(dirname "${BASH_SOURCE[0]}")/distil.sh"
: "${OBJECTIVES:=mse margin-1 margin-0.2 margin-0.1 kl margin-mse infonce}"

# objective SEED NAME: the retriever trained with one objective
objective() {
  local options=()
  case $2 in
    margin-mse | mse | kl) options=(--loss "$2") ;;
    margin-*) options=(--loss margin --gamma "${2#margin-}") ;;
    infonce) options=(--loss infonce --labels answer) ;;
    *) say "table5.sh: unknown objective $2"; exit 2 ;;
  esac
  distil "$1" "$2" "$TEACHER" "${options[@]}"
}

for seed in $SEEDS; do
  (
    begin "$seed"
    for name in $OBJECTIVES; do objective "$seed" "$name"; done
  )
done
# shellcheck disable=SC2086  # a list of names
perform python "$tables/variants.py" 5 "$RUNS" "$DATASET-$table" $OBJECTIVES

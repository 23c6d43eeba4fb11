#!/usr/bin/env bash
# Table 6: how the cross-attention scores are aggregated, after one iteration from BM25's passages. One pass of the reader
# writes all six of the paper's rows; `attention-value-norm` is Atlas's.
#
#   DATASET=squad PROFILE=small SEEDS="0 1 2" examples/tables/table6.sh
table=table6
source "$(dirname "${BASH_SOURCE[0]}")/distil.sh"
: "${VALUE_NORM_TEMPERATURE:=0.05}"   # softmaxed weights differ less than the scores before the softmax
: "${AGGREGATIONS:=attention attention-max-token attention-outputs attention-last-layers attention-max-layer attention-max-head attention-value-norm}"

for seed in $SEEDS; do
  begin "$seed"
  for name in $AGGREGATIONS; do
    temperature=$([[ $name == attention-value-norm ]] && echo "--teacher-temperature $VALUE_NORM_TEMPERATURE") || true
    distil "$seed" "$name" --teacher "$name" $temperature
  done
done
python "$tables/variants.py" 6 "$RUNS" "$DATASET-$table" $AGGREGATIONS

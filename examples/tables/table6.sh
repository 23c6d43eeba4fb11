#!/usr/bin/env bash
# Table 6: how the cross-attention scores are aggregated, after one iteration from BM25's passages. One pass of the reader
# writes all six of the paper's rows; `attention-value-norm` is Atlas's aggregation.
#
#   DATASET=squad PROFILE=small SEEDS="0 1 2" examples/tables/table6.sh
# shellcheck disable=SC2034  # for distil.sh
table=table6
# shellcheck source=examples/tables/distil.sh
source "$(dirname "${BASH_SOURCE[0]}")/distil.sh"
# weights after the softmax differ less than scores before it: they need a lower temperature
: "${VALUE_NORM_TEMPERATURE:=0.05}"
: "${AGGREGATIONS:=attention attention-max-token attention-outputs attention-last-layers attention-max-layer attention-max-head attention-value-norm}"

for seed in $SEEDS; do
  (
    begin "$seed"
    for name in $AGGREGATIONS; do
      temperature=()
      if [[ $name == attention-value-norm ]]; then temperature=(--teacher-temperature "$VALUE_NORM_TEMPERATURE"); fi
      distil "$seed" "$name" "$name" ${temperature[@]+"${temperature[@]}"}
    done
  )
done
# shellcheck disable=SC2086  # a list of names
perform python "$tables/variants.py" 6 "$RUNS" "$DATASET-$table" $AGGREGATIONS

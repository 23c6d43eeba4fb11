#!/usr/bin/env bash
# Table 8: iterations from DPR's passages in which the reader continues training instead of being re-initialised.
#
# The loop always starts a reader from the folder READER; between iterations this script puts the last reader there.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# first_reader MODEL FOLDER: copy the initial reader, from a folder or the Hugging Face hub
first_reader() { if [[ -d $1 ]]; then cp -r "$1" "$2"; else hf download "$1" --local-dir "$2" >&2; fi; }

# another_reader RUN: the loop refuses inputs that have changed; this one has, on purpose
another_reader() {
  [[ -e $1/contents.json ]] || return 0
  python_alone '
import json, os, sys
record = sys.argv[1]
known = json.load(open(record, encoding="utf-8"))
known.pop("READER", None)
with open(record + ".part", "w", encoding="utf-8") as out:
    json.dump(known, out, indent=1, sort_keys=True)
os.replace(record + ".part", record)' "$1/contents.json"
}

for dataset in $DATASETS; do
  folder=$(dpr "$dataset") || continue
  for seed in $SEEDS; do
    name=$dataset-dpr-kept base=$RUNS/seed-$seed/$dataset-dpr-kept
    if [[ $DRY_RUN == 1 ]]; then
      say "table8.sh: before each train-reader, the last reader is copied to $base.reader"
      SEEDS=$seed run "$name" "$dataset" "${ITERATIONS:-2}" START="$folder" READER="$base.reader"
      continue
    fi
    one_at_a_time "$RUNS/seed-$seed"   # the folder of the run itself is locked by the loop
    mkdir -p "$base.reader"
    for ((i = 0; i <= ${ITERATIONS:-2}; i++)); do
      rm -rf "$base.reader"
      if ((i == 0)); then
        first_reader "${READER:-google-t5/t5-base}" "$base.reader"
      else
        cp -r "$base/$((i - 1))/reader" "$base.reader"
      fi
      another_reader "$base"
      SEEDS=$seed run "$name" "$dataset" "$i" START="$folder" READER="$base.reader"
    done
  done
done
show 8

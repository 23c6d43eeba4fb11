#!/usr/bin/env bash
# Section 3.2: what a reader loses when it reads 10 of its 100 passages, chosen by the retriever or by its own attention.
# The paper uses DPR's passages; without DPR=FOLDER this uses the reader and passages of iteration 0 from BM25.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
folder=$(dpr nq) || folder=bm25
: "${FEW:=$([[ $PROFILE == smoke ]] && echo 2 || echo 10)}"   # the smoke profile reads 5
run nq-dpr nq 0 START="$folder"
for seed in $SEEDS; do
  work_in "$RUNS/seed-$seed/nq-dpr" section32
  [[ $DRY_RUN == 1 ]] || mkdir -p section32
  perform cp 0/dev.json section32/100.json
  for chosen in retriever attention; do
    option=$([[ $chosen == attention ]] && echo --keep-passages || echo --n-context)
    read=section32/$FEW-$chosen.jsonl
    [[ -e $read && $DRY_RUN != 1 ]] || perform fidtools read 0/dev.jsonl --reader 0/reader "$option" "$FEW" -o "$read"
    perform fidtools eval "$read" -m EM --json -o "section32/few-$chosen.json"
  done
done
show 3.2

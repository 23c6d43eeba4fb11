# shellcheck shell=bash
# What the table scripts share.
#
#   PROFILE=paper|small|smoke   the settings of examples/common.sh
#   SEEDS="0 1 2"               one run per seed; the table shows the mean and the standard deviation
#   RUNS=folder                 the folder of the runs; an existing run is continued, or only read when it is complete
#   DATA_ROOT=folder            the folder of the datasets, one folder each
#   DATASETS="nq triviaqa"      only these datasets
#   DRY_RUN=1                   prints the commands
set -euo pipefail
# shellcheck source=bin/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bin/lib.sh"
need_fidtools
tables=$here/examples/tables
: "${PROFILE:=paper}" "${SEEDS:=0}" "${RUNS:=$here/runs/tables/$PROFILE}" "${DATASETS:=nq triviaqa}"
[[ $DRY_RUN == 1 ]] || mkdir -p "$RUNS"
RUNS=$(absolute "$RUNS")   # the stages run inside it
export PROFILE

# run NAME DATASET ITERATIONS [VARIABLE=VALUE…]: the loop, once per seed. What a dry run of it prints are commands; its
# tables are not this script's.
run() {
  local name=$1 dataset=$2 iterations=$3 seed to=2; shift 3
  [[ $DRY_RUN != 1 ]] || to=1
  for seed in $SEEDS; do
    env SEED="$seed" RUN="$RUNS/seed-$seed/$name" "$@" "$here/bin/iterate.sh" "$dataset" "$iterations" >&"$to"
  done
}

# show TABLE: the paper's numbers beside those of the runs
show() { perform python "$tables/show.py" "$1" "$RUNS"; }

# dpr DATASET: the folder of DPR's retrieval results for a dataset; fails with a message when there is none
dpr() {
  local folder=${DPR:+$DPR/$1}
  [[ -n $folder && -d $folder ]] && { echo "$folder"; return; }
  say "tables: set DPR=FOLDER, where FOLDER/$1 has the train, dev and test questions with DPR's passages (.json or .jsonl)"
  return 1
}

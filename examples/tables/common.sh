# What the table scripts share.
#
#   PROFILE=paper|small|smoke   the settings of examples/common.sh
#   SEEDS="0 1 2"               one run for each; the table shows the mean and the standard deviation
#   RUNS=folder                 where the runs are; a run that is there is continued or only read
#   DATA_ROOT=folder            where the data sets are, one folder each
#   DATASETS="nq triviaqa"      only these
set -euo pipefail
tables=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$(cd "$tables/../.." && pwd)
[[ -d $here/.venv/bin ]] && PATH=$here/.venv/bin:$PATH
: "${PROFILE:=paper}" "${SEEDS:=0}" "${RUNS:=$here/runs/tables/$PROFILE}" "${DATASETS:=nq triviaqa}"
mkdir -p "$RUNS"
RUNS=$(cd "$RUNS" && pwd)   # the work is done inside it
export PROFILE

# run NAME DATASET ITERATIONS [VARIABLE=VALUE…]: the loop, once for every seed
run() {
  local name=$1 dataset=$2 iterations=$3 seed; shift 3
  for seed in $SEEDS; do
    env SEED="$seed" RUN="$RUNS/seed-$seed/$name" "$@" "$here/bin/iterate.sh" "$dataset" "$iterations" >&2
  done
}

# show TABLE: the paper's numbers beside those of the runs
show() { python "$tables/show.py" "$1" "$RUNS"; }

# dpr DATASET: the folder of DPR's retrieval results for a data set, or a failure that says how to give one
dpr() {
  local folder=${DPR:+$DPR/$1}
  [[ -n $folder && -d $folder ]] && { echo "$folder"; return; }
  echo "tables: set DPR=FOLDER, where FOLDER/$1 has the train, dev and test questions with DPR's passages (.json or .jsonl)" >&2
  return 1
}

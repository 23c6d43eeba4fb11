# What Tables 5 and 6 share: one iteration of the loop from BM25's passages, in which the reader writes the scores of
# every aggregation, then retrievers trained in other ways on the same scores. SCORED=folder takes train.jsonl and
# dev.jsonl (with `ctxs` and scores) from there and runs no reader; then PASSAGES, DEV and RETRIEVER must be given too.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export RUNS
: "${DATASET:=nq}" "${SCORED:=}" "${TEACHER:=attention}"

# begin SEED: the folder of this seed's retrievers, the scores, and the settings they were made with
begin() {
  local base=$RUNS/seed-$1/$DATASET-scored name value
  folder=$RUNS/seed-$1/$DATASET-$table
  scored=$base/0 suffix=.scored
  if [[ -n $SCORED ]]; then
    scored=$(realpath "$SCORED") suffix=
    : "${PASSAGES:?}" "${DEV:?}" "${RETRIEVER:?}"
    mkdir -p "$folder"
  else
    SEEDS=$1 run "$DATASET-scored" "$DATASET" 1 START=bm25 SCORE_OPTIONS="--aggregate all"
    while IFS='=' read -r name value; do printf -v "$name" %s "$value"; done <"$base/settings.txt"
  fi
  : "${K:=100}" "${RETRIEVER_PASSAGES:=100}" "${RETRIEVER_STEPS:=10000}" "${RETRIEVER_BATCH:=64}" "${RETRIEVER_LR:=5e-5}"
  : "${RETRIEVER_EVAL_EVERY:=500}" "${PRECISION:=auto}" "${RETRIEVER_OPTIONS:=}" "${EVAL_K:=1,5,20,100}"
  : "${EMBED_OPTIONS:=}" "${RETRIEVE_OPTIONS:=}" "${EVAL_OPTIONS:=}"
}

stage() { local out=$1; shift; [[ -e $out ]] || { echo "→ $out" >&2; "$@" -o "$out"; }; }

# fidtools for the commands that compute: on as many processes as LAUNCH starts
compute="${LAUNCH:+$LAUNCH --no-python }fidtools"

# distil SEED NAME OPTIONS…: train a retriever in this way, retrieve for dev, evaluate
distil() {
  local seed=$1 out=$folder/$2; shift 2
  mkdir -p "$out"
  stage "$out/retriever" $compute train-retriever "$scored/train$suffix.jsonl" --dev "$scored/dev$suffix.jsonl" \
    --retriever "$RETRIEVER" --n-passages "$RETRIEVER_PASSAGES" --steps "$RETRIEVER_STEPS" --batch "$RETRIEVER_BATCH" \
    --lr "$RETRIEVER_LR" --eval-every "$RETRIEVER_EVAL_EVERY" --seed "$seed" --precision "$PRECISION" --resume \
    $RETRIEVER_OPTIONS --select overlap "$@"
  stage "$out/passages.npy" $compute embed "$PASSAGES" --retriever "$out/retriever" --precision "$PRECISION" --resume $EMBED_OPTIONS
  stage "$out/dev.jsonl" $compute retrieve "$DEV" --retriever "$out/retriever" --embeddings "$out/passages.npy" -p "$PASSAGES" \
    -k "$K" --precision "$PRECISION" $RETRIEVE_OPTIONS
  stage "$out/dev.json" fidtools eval "$out/dev.jsonl" --k "$EVAL_K" --json $EVAL_OPTIONS
}

#!/usr/bin/env bash
# Shakeri, Sethy & Cheng: claim-independent LSTM and CNN students, on hard labels alone and with a teacher's soft ones.
#
#   DATA=folder examples/fever/students.sh       # train.jsonl, dev.jsonl (with `gold`) and passages.jsonl
#
# The teacher is a coattention BiLSTM that reads claim and document together. The dev claims' candidates, BM25's first 100
# of all passages, are ranked by every model. Models are fitted on the claims about four fifths of the training pages and
# chosen by those about the others; why the candidates there are the part's own pages is in parts.py. Prints a Markdown table.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[[ -d $here/.venv/bin ]] && PATH=$here/.venv/bin:$PATH
: "${DATA:?a folder with train.jsonl, dev.jsonl and passages.jsonl}" "${RUN:=$here/runs/fever-students}"
: "${SEEDS:=0 1 2}" "${N_PASSAGES:=20}" "${CANDIDATES:=100}" "${STUDENTS:=lstm cnn}"
: "${TEACHER_STEPS:=1000}" "${TEACHER_HIDDEN:=256}" "${STEPS:=1500}" "${HIDDEN:=64}" "${WORD_DIM:=50}"
: "${TEACHER_LR:=1e-3}" "${LR:=1e-3}" "${EVAL_EVERY:=250}" "${ALPHA:=0.5}" "${TEMPERATURE:=1}" "${WORD_VECTORS:=}"
small=(--eval-every "$EVAL_EVERY" --token-budget 2048 --precision float32)   # small calls: a CPU's caches hold them
vectors=(${WORD_VECTORS:+--word-vectors "$WORD_VECTORS"})
mkdir -p "$RUN"; cd "$RUN"

stage() { local out=$1; shift; [[ -e $out ]] || { echo "→ $out" >&2; fidtools "$@" -o "$out"; }; }

[[ -e choose.passages.jsonl ]] || python "$here/examples/fever/parts.py" "$DATA/train.jsonl" "$DATA/passages.jsonl" .
for part in fit choose; do stage "$part.bm25.jsonl" bm25 "$part.jsonl" -p "$part.passages.jsonl" -k "$N_PASSAGES"; done
stage dev.bm25.jsonl bm25 "$DATA/dev.jsonl" -p "$DATA/passages.jsonl" -k "$CANDIDATES"

for seed in $SEEDS; do
  mkdir -p "seed-$seed"; cd "seed-$seed"
  stage teacher train-teacher ../fit.bm25.jsonl --dev ../choose.bm25.jsonl --coattention --labels gold --seed "$seed" --resume \
    --hidden "$TEACHER_HIDDEN" --word-dim 100 --lr "$TEACHER_LR" --batch 16 --steps "$TEACHER_STEPS" "${small[@]}" \
    "${vectors[@]}"
  for part in fit choose; do stage "$part.jsonl" score-cross "../$part.bm25.jsonl" --teacher teacher; done
  for student in $STUDENTS; do
    for kind in hard soft; do
      alpha=$([[ $kind == hard ]] && echo 1 || echo "$ALPHA")
      stage "$student-$kind" train-retriever fit.jsonl --dev choose.jsonl --student "$student" --loss bce --alpha "$alpha" \
        --temperature "$TEMPERATURE" --teacher cross --labels gold --n-passages "$N_PASSAGES" --select loss --resume \
        --hidden "$HIDDEN" --word-dim "$WORD_DIM" --dropout 0.2 --lr "$LR" --batch 32 --steps "$STEPS" --seed "$seed" \
        "${small[@]}" "${vectors[@]}"
    done
  done
  cd ..
done
python "$here/examples/fever/rank.py" dev.bm25.jsonl $(for seed in $SEEDS; do echo "seed-$seed"; done)

#!/usr/bin/env bash
# Shakeri, Sethy & Cheng: claim-independent LSTM and CNN students, on hard labels alone and with a teacher's soft ones.
#
#   DATA=folder examples/fever/students.sh       # train.jsonl, dev.jsonl (with `gold`) and passages.jsonl
#
# The teacher is a coattention BiLSTM that reads claim and document together. The dev claims' candidates, BM25's
# first 100, are ranked by every model; a fifth of the training claims chooses the best model. Prints a Markdown table.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[[ -d $here/.venv/bin ]] && PATH=$here/.venv/bin:$PATH
: "${DATA:?a folder with train.jsonl, dev.jsonl and passages.jsonl}" "${RUN:=$here/runs/fever-students}"
: "${SEEDS:=0 1 2}" "${N_PASSAGES:=20}" "${CANDIDATES:=100}" "${STUDENTS:=lstm cnn}"
: "${TEACHER_STEPS:=1000}" "${TEACHER_HIDDEN:=256}" "${STEPS:=1500}" "${HIDDEN:=64}" "${WORD_DIM:=50}"
: "${ALPHA:=0.3}" "${TEMPERATURE:=2}" "${WORD_VECTORS:=}"
vectors=(${WORD_VECTORS:+--word-vectors "$WORD_VECTORS"})
mkdir -p "$RUN"; cd "$RUN"

stage() { local out=$1; shift; [[ -e $out ]] || { echo "→ $out" >&2; fidtools "$@" -o "$out"; }; }

stage train.bm25.jsonl bm25 "$DATA/train.jsonl" -p "$DATA/passages.jsonl" -k "$N_PASSAGES"
stage dev.bm25.jsonl bm25 "$DATA/dev.jsonl" -p "$DATA/passages.jsonl" -k "$CANDIDATES"
[[ -e fit.jsonl ]] || { awk 'NR % 5 == 0' train.bm25.jsonl > choose.jsonl; awk 'NR % 5' train.bm25.jsonl > fit.jsonl; }

for seed in $SEEDS; do
  mkdir -p "seed-$seed"; cd "seed-$seed"
  stage teacher train-teacher ../fit.jsonl --dev ../choose.jsonl --coattention --labels gold --seed "$seed" --resume \
    --hidden "$TEACHER_HIDDEN" --word-dim 100 --lr 1e-3 --batch 16 --steps "$TEACHER_STEPS" --eval-every 250 "${vectors[@]}"
  for part in fit choose; do stage "$part.jsonl" score-cross "../$part.jsonl" --teacher teacher; done
  for student in $STUDENTS; do
    for kind in hard soft; do
      alpha=$([[ $kind == hard ]] && echo 1 || echo "$ALPHA")
      stage "$student-$kind" train-retriever fit.jsonl --dev choose.jsonl --student "$student" --loss bce --alpha "$alpha" \
        --temperature "$TEMPERATURE" --teacher cross --labels gold --n-passages "$N_PASSAGES" --select loss --resume \
        --hidden "$HIDDEN" --word-dim "$WORD_DIM" --dropout 0.2 --lr 1e-3 --batch 32 --steps "$STEPS" --eval-every 250 \
        --seed "$seed" "${vectors[@]}"
    done
  done
  cd ..
done
python "$here/examples/fever/rank.py" dev.bm25.jsonl $(for seed in $SEEDS; do echo "seed-$seed"; done)

#!/usr/bin/env bash
# Shakeri, Sethy & Cheng: claim-independent LSTM and CNN students, trained on hard labels alone and with a teacher's soft labels.
# A static-embedding student is trained beside them: an average of word vectors, without a network.
#
#   DATA=folder examples/fever/students.sh       # train.jsonl, dev.jsonl (with `gold`) and passages.jsonl
#
# The teacher is a coattention BiLSTM that reads claim and document together. Every model ranks the candidates of the dev
# claims, which are BM25's first 100 of all passages. Models are trained on the claims about four fifths of the training
# pages and validated on those about the others; parts.py explains why their candidates are the part's own pages. Word
# vectors are frozen, except those of the static student, which has nothing else to train: WORD_VECTORS=glove.6B.100d.txt, or
# by default an encoder's (word_vectors.py). Prints Markdown tables.
set -euo pipefail
# shellcheck source=bin/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bin/lib.sh"
: "${DATA:?must be a folder with train.jsonl, dev.jsonl and passages.jsonl}" "${RUN:=$here/runs/fever-students}"
: "${SEEDS:=0 1 2}" "${N_PASSAGES:=10}" "${CANDIDATES:=100}" "${STUDENTS:=lstm cnn static}"
: "${TEACHER_STEPS:=160}" "${TEACHER_HIDDEN:=192}" "${TEACHER_LR:=4e-3}" "${STEPS:=400}" "${ALPHA:=0.2}" "${TEMPERATURE:=4}"
: "${LSTM_HIDDEN:=64}" "${LSTM_LR:=2e-3}" "${CNN_HIDDEN:=128}" "${CNN_LR:=1e-3}" "${STATIC_LR:=3e-3}"   # the CNN's hidden size: channels per filter width
: "${DROPOUT:=0}" "${EVAL_EVERY:=100}" "${WORD_DIM:=100}" "${ENCODER:=minilm}" "${WORD_VECTORS:=}"
need_fidtools
if [[ -e $ENCODER ]]; then ENCODER=$(absolute "$ENCODER"); fi
DATA=$(absolute "$DATA") RUN=$(absolute "$RUN") WORD_VECTORS=${WORD_VECTORS:+$(absolute "$WORD_VECTORS")}
one_at_a_time "$RUN"
keep_settings "$RUN" DATA N_PASSAGES CANDIDATES TEACHER_STEPS TEACHER_HIDDEN TEACHER_LR STEPS ALPHA TEMPERATURE LSTM_HIDDEN \
  LSTM_LR CNN_HIDDEN CNN_LR STATIC_LR DROPOUT EVAL_EVERY WORD_DIM ENCODER WORD_VECTORS
inputs=()
for name in passages train dev; do inputs+=("$name=$DATA/$name.jsonl"); done
for name in ENCODER WORD_VECTORS; do [[ ! -e ${!name} ]] || inputs+=("$name=${!name}"); done
keep_contents RUN "$RUN" "${inputs[@]}"
folders=()
for seed in $SEEDS; do folders+=("seed-$seed"); done
work_in "$RUN" "${folders[@]}"
if [[ -z $WORD_VECTORS ]]; then
  WORD_VECTORS=$RUN/words.txt
  [[ -e words.txt && $DRY_RUN != 1 ]] || perform python "$here/examples/fever/word_vectors.py" "$DATA"/{passages,train,dev}.jsonl --encoder "$ENCODER" \
    --dim "$WORD_DIM" -o words.txt
fi
same=(--word-vectors "$WORD_VECTORS" --eval-every "$EVAL_EVERY" --precision float32 --resume)

[[ -e choose.passages.jsonl && $DRY_RUN != 1 ]] || perform python "$here/examples/fever/parts.py" "$DATA/train.jsonl" "$DATA/passages.jsonl" .
for part in fit choose; do stage "$part.bm25.jsonl" fidtools bm25 "$part.jsonl" -p "$part.passages.jsonl" -k "$N_PASSAGES"; done
stage dev.bm25.jsonl fidtools bm25 "$DATA/dev.jsonl" -p "$DATA/passages.jsonl" -k "$CANDIDATES"

stage teacher fidtools train-teacher fit.bm25.jsonl --dev choose.bm25.jsonl --coattention --labels gold --freeze-words \
  --hidden "$TEACHER_HIDDEN" --lr "$TEACHER_LR" --batch 16 --steps "$TEACHER_STEPS" --token-budget 2048 "${same[@]}"
for part in fit choose; do stage "$part.scored.jsonl" fidtools score-cross "$part.bm25.jsonl" --teacher teacher; done
for seed in $SEEDS; do
  for student in $STUDENTS; do
    case $student in
      lstm) own=(--freeze-words --dropout "$DROPOUT" --hidden "$LSTM_HIDDEN" --lr "$LSTM_LR") ;;
      cnn) own=(--freeze-words --dropout "$DROPOUT" --hidden "$CNN_HIDDEN" --lr "$CNN_LR") ;;
      static) own=(--lr "$STATIC_LR") ;;
      *) say "students.sh: unknown student $student"; exit 2 ;;
    esac
    for kind in hard soft; do
      alpha=$([[ $kind == hard ]] && echo 1 || echo "$ALPHA")
      stage "seed-$seed/$student-$kind" fidtools train-retriever fit.scored.jsonl --dev choose.scored.jsonl --student "$student" \
        --loss bce --alpha "$alpha" --temperature "$TEMPERATURE" --teacher cross --labels gold --n-passages "$N_PASSAGES" \
        "${own[@]}" --batch 32 --steps "$STEPS" --seed "$seed" "${same[@]}"
    done
  done
done
perform python "$here/examples/fever/rank.py" dev.bm25.jsonl --teacher teacher "${folders[@]}"

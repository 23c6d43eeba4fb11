# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets what this uses, and the reverse
# What teaches the retriever in bin/iterate.sh, and its rankings without a reader and fused with those of BM25.

# The scores of score-attn, each a teacher. Several in a mix are written by one pass of the reader.
aggregations=(attention attention-max-token attention-outputs attention-last-layers attention-max-layer attention-max-head
  attention-value-norm attention-mass)

# check_teaching: refuse a TEACHER, READ or FUSE that cannot be
check_teaching() {
  local name part parts
  TEACHER=${TEACHER// /}
  [[ ,$TEACHER, != *,,* && ,$TEACHER, != *=,* ]] ||
    { say "setting TEACHER: $TEACHER: expected NAME or NAME=WEIGHT, with commas between them"; exit 2; }
  for name in $(teachers); do
    [[ $name =~ ^(likelihood|question-likelihood|bm25)$ || " ${aggregations[*]} " == *" $name "* ]] && continue
    say "setting TEACHER: $name is none of attention, likelihood, question-likelihood, bm25 (or a mix: likelihood=1,bm25=1)"
    [[ $name != attention* ]] || say "other scores of attention: ${aggregations[*]:1}"
    exit 2
  done
  IFS=, read -r -a parts <<<"$TEACHER"
  for part in "${parts[@]}"; do
    [[ $part != *=* ]] || within "${part#*=}" 1e-6 1e6 ||
      { say "setting TEACHER: $part: a weight must be a number from 1e-6 to 1e6"; exit 2; }
  done
  [[ -z $(teachers | sort | uniq -d) ]] || { say "setting TEACHER: $TEACHER names a teacher twice"; exit 2; }
  [[ $READ =~ ^[01]$ && $FUSE =~ ^[01]$ ]] || { say "settings READ and FUSE: expected 0 or 1"; exit 2; }
  [[ $READ == 1 || -z $(attentions) ]] || { say "setting READ=0: TEACHER=$TEACHER needs a reader"; exit 2; }
  [[ $FUSE == 0 || $START == bm25 ]] || { say "setting FUSE=1: fuses with BM25, so it needs START=bm25"; exit 2; }
}

# teachers: the names in TEACHER, without their weights, one a line
teachers() {
  local parts part
  IFS=, read -r -a parts <<<"$TEACHER"
  for part in "${parts[@]}"; do printf '%s\n' "${part%%=*}"; done
}

# attentions: the teachers that are scores of attention, one a line
attentions() { teachers | grep -E '^attention' || true; }

# teaches NAME: whether NAME is one of the teachers
teaches() { teachers | grep -qxF -e "$1"; }

# ranks_together: whether the run has no reader and fuses its rankings with BM25's. It then compares the untouched
# retriever, too, and scores what BM25 and the retriever find together.
ranks_together() { [[ $READ$FUSE == 01 ]]; }

# target_options: set `target`, the options of RETRIEVER_OPTIONS that the teacher's report must share
target_options() {
  local word before=
  target=()
  for word in ${RETRIEVER_OPTIONS[@]+"${RETRIEVER_OPTIONS[@]}"}; do
    case $before in --teacher-temperature | --preset | --source-passage) target+=("$before" "$word") ;; esac
    case $word in --teacher-temperature=* | --preset=* | --source-passage=* | --probabilities) target+=("$word") ;; esac
    before=$word
  done
}

# score_passages I SPLIT: let every teacher score the passages; sets `scored`, the file with all scores
score_passages() {
  local i=$1 split=$2 name last needed=()
  for name in $(teachers); do
    # BM25's passages have their score already
    if [[ $name == bm25 && $i == 0 && $START == bm25 ]] && ! ranks_together; then continue; fi
    [[ $name != attention* ]] || name=attention   # one pass for all of them
    [[ " ${needed[*]-} " == *" $name "* ]] || needed+=("$name")
  done
  candidates "$i" "$split"
  [[ ${#needed[@]} -gt 0 ]] || return 0
  last=${needed[${#needed[@]}-1]}
  for name in "${needed[@]}"; do
    if [[ $name == "$last" ]]; then
      score_by "$name" "$i" "$scored" "$i/$split.scored.jsonl"
      scored=$i/$split.scored.jsonl
    else
      score_by "$name" "$i" "$scored" "$i/$split.$name.jsonl"
      scored=$i/$split.$name.jsonl
    fi
  done
}

# candidates I SPLIT: set `scored`, the file with the passages to score: the ranking, or BM25's and the retriever's
# together, so that the retriever learns from what either finds
candidates() {
  local i=$1 split=$2 own=$1
  scored=$i/$split.jsonl
  ranks_together || return 0
  [[ $i != 0 ]] || own=start
  scored=$i/$split.both.jsonl
  stage "$scored" fidtools fuse "0/$split.jsonl" "$own/$split.jsonl" -k "$K"
}

# score_by TEACHER I FILE OUTPUT
score_by() {
  local name=$1 i=$2 from=$3 to=$4 of=answer named aggregate=()
  case $name in
    attention)
      named=$(attentions)
      [[ $named != *$'\n'* ]] || named=all
      [[ $named == attention ]] || aggregate=(--aggregate "$named")
      stage "$to" "${compute[@]}" score-attn "$from" --reader "$i/reader" --n-context "$RETRIEVER_PASSAGES" \
        ${aggregate[@]+"${aggregate[@]}"} --precision "$PRECISION" --resume ${SCORE_OPTIONS[@]+"${SCORE_OPTIONS[@]}"} ;;
    bm25)
      stage "$to" fidtools bm25 "$from" -p "$PASSAGES" --index bm25 --rescore ${BM25_OPTIONS[@]+"${BM25_OPTIONS[@]}"} ;;
    *)
      [[ $name == likelihood ]] || of=question
      stage "$to" "${compute[@]}" score-likelihood "$from" --reader "$TEACHER_MODEL" --of "$of" \
        --n-context "$RETRIEVER_PASSAGES" --precision "$PRECISION" --resume \
        ${LIKELIHOOD_OPTIONS[@]+"${LIKELIHOOD_OPTIONS[@]}"} ;;
  esac
}

# measurable SPLIT: whether any of its questions has an answer or a gold passage. A run without a reader needs neither, and
# then measures nothing on them.
measurable() {
  [[ $READ == 1 || $DRY_RUN == 1 ]] || python_alone '
import json, sys

with open(sys.argv[1], encoding="utf-8") as lines:
    questions = map(json.loads, lines)
    sys.exit(not any(any(map(question.get, ("answers", "gold"))) for question in questions))' "0/$1.jsonl"
}

# evaluate_rankings FOLDER: the dev and test rankings as they are; with FUSE=1 those of a retriever also fused with
# BM25's, with the weights that are best on the dev questions; with equal weights, where these cannot be measured
evaluate_rankings() {
  local folder=$1 split tuned=()
  for split in dev test; do
    if measurable "$split"; then evaluate "$folder/$split.json" "$folder/$split.jsonl"; fi
  done
  [[ $FUSE == 1 && $folder != 0 ]] || return 0
  if measurable dev; then
    stage "$folder/fusion.json" fidtools fuse 0/dev.jsonl "$folder/dev.jsonl" --tune "$DEV"
    tuned=(--tuned "$folder/fusion.json")
  fi
  for split in dev test; do
    stage "$folder/$split.fused.jsonl" fidtools fuse "0/$split.jsonl" "$folder/$split.jsonl" -k "$K" \
      ${tuned[@]+"${tuned[@]}"}
    if measurable "$split"; then evaluate "$folder/$split.fused.json" "$folder/$split.fused.jsonl"; fi
  done
}

# untouched: the rankings of the retriever that training begins with, in start/
untouched() {
  dense start "$RETRIEVER"
  evaluate_rankings start
}

# ranked_files SPLIT: what the table without a reader compares, one file a line
ranked_files() {
  local i
  echo "0/$1.jsonl"
  [[ $FUSE == 0 ]] || printf '%s\n' "start/$1.jsonl" "start/$1.fused.jsonl"
  for ((i = 1; i <= iterations; i++)); do
    echo "$i/$1.jsonl"
    [[ $FUSE == 0 ]] || echo "$i/$1.fused.jsonl"
  done
}

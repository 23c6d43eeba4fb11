# SQuAD 1.1 as an open corpus: 490 articles in passages of 100 words, all of them searched for every question.
#
# Small enough for a whole run on one GPU in an afternoon, and the paper's method in every other respect.
source "$here/examples/common.sh"
: "${EVAL_OPTIONS:=--profile squad}"
use_profile

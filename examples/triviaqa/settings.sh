# TriviaQA over Wikipedia (21 million passages): Tables 1, 2, 3 and 8 of the paper.
source "$here/examples/common.sh"
: "${EMBED_OPTIONS:=--dtype float16}"
: "${EVAL_OPTIONS:=--profile nq}" # the paper's exact match is SQuAD's for both; --profile triviaqa normalises as its authors do
use_profile

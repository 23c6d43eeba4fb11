# NaturalQuestions over Wikipedia (21 million passages): Tables 1, 2, 3, 5, 6 and 8 of the paper.
source "$here/examples/common.sh"
: "${EMBED_OPTIONS:=--dtype float16}" "${EVAL_OPTIONS:=--profile nq}" # 21 million vectors of 768: 32 GB in half precision
use_profile

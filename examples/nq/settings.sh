# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# NaturalQuestions over Wikipedia (21 million passages): Tables 1, 2, 3, 5, 6 and 8 of the paper.
source "$here/examples/common.sh"
given EMBED_OPTIONS || EMBED_OPTIONS=(--dtype float16)   # 21 million vectors of 768 numbers: 32 GB in half precision
given EVAL_OPTIONS || EVAL_OPTIONS=(--profile nq)
use_profile

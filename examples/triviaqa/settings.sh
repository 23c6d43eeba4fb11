# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# TriviaQA over Wikipedia (21 million passages): Tables 1, 2, 3 and 8 of the paper.
source "$here/examples/common.sh"
given EMBED_OPTIONS || EMBED_OPTIONS=(--dtype float16)
# the paper normalises answers as SQuAD does for both datasets; --profile triviaqa normalises as TriviaQA's authors do
given EVAL_OPTIONS || EVAL_OPTIONS=(--profile nq)
use_profile

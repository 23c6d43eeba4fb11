# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# FEVER: claims over the Wikipedia pages of June 2017. The reader's answer is the label; the ranking of the pages is judged
# by the annotated evidence (Shakeri, Sethy & Cheng; Izacard & Grave mention the task without results).
source "$here/examples/common.sh"
: "${N_CONTEXT:=$([[ $PROFILE == smoke ]] && echo 5 || echo 20)}"
given EMBED_OPTIONS || EMBED_OPTIONS=(--dtype float16)
# the mean of AP over the claims is MAP
given EVAL_OPTIONS || EVAL_OPTIONS=(-m AP -m MRR -m nDCG@10 -m gold-R@k -m evidence@k -m accuracy)
use_profile

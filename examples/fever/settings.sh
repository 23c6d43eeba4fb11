# FEVER: claims over the pages of Wikipedia of June 2017; the reader's answer is the label, and the ranking of the pages
# is judged by the annotated evidence (Shakeri, Sethy & Cheng; Izacard & Grave name the task and have no numbers for it).
source "$here/examples/common.sh"
: "${N_CONTEXT:=$([[ $PROFILE == smoke ]] && echo 5 || echo 20)}"
: "${EMBED_OPTIONS:=--dtype float16}"
: "${EVAL_OPTIONS:=-m AP -m MRR -m nDCG@10 -m gold-R@k -m evidence@k -m accuracy}"   # AP's mean is MAP
use_profile

# shellcheck shell=bash disable=SC2034,SC2154  # bin/iterate.sh sources this file: it sets $here and uses the settings
# NarrativeQA, whole stories: Table 4 of the paper. Each question searches the passages of its own story.
#
# FETCH=narrativeqa-summaries uses Wikipedia's plot summaries instead of the stories; FETCH=narrativeqa-web downloads
# each story from its original address.
source "$here/examples/common.sh"
given RETRIEVE_OPTIONS || RETRIEVE_OPTIONS=(--within doc_id)
: "${N_CONTEXT:=$([[ $PROFILE == smoke ]] && echo 5 || echo 20)}"   # 20 passages read, 100 to train the retriever
given READER_OPTIONS || READER_OPTIONS=(--no-title)                 # A.2
given READ_OPTIONS || READ_OPTIONS=(--beams 3)                      # A.3
given EVAL_OPTIONS || EVAL_OPTIONS=(--profile narrativeqa)          # ROUGE-L, BLEU-1, BLEU-4, METEOR
if ! given BM25_OPTIONS; then
  BM25_OPTIONS=(--within doc_id)
  [[ $PROFILE != paper ]] || BM25_OPTIONS=(--engine lucene --analyzer spacy --within doc_id)
fi
use_profile

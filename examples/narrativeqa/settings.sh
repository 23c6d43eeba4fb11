# NarrativeQA, whole stories: Table 4 of the paper. Each question searches the passages of its own story.
#
# FETCH=narrativeqa-summaries takes Wikipedia's plot summaries in place of the stories, FETCH=narrativeqa-web the stories
# from their own addresses.
source "$here/examples/common.sh"
: "${RETRIEVE_OPTIONS:=--within doc_id}"
: "${N_CONTEXT:=$([[ $PROFILE == smoke ]] && echo 5 || echo 20)}"                  # 20 passages read, 100 to train the retriever
: "${READER_OPTIONS:=--no-title}" "${READ_OPTIONS:=--beams 3}"                     # A.2 and A.3
: "${EVAL_OPTIONS:=--profile narrativeqa}"                                        # ROUGE-L, BLEU-1, BLEU-4, METEOR
[[ $PROFILE == paper ]] && : "${BM25_OPTIONS:=--engine lucene --analyzer spacy --within doc_id}"
: "${BM25_OPTIONS:=--within doc_id}"
use_profile

# The toy world: generated here, with tiny models that ship with the project. Ten minutes on two CPU cores.
: "${DATA:=$here/data/toy}"
fetch() { fidtools fetch toy -o "$DATA"; }

: "${READER:=$DATASET_FOLDER/models/reader}" "${RETRIEVER:=$DATASET_FOLDER/models/retriever}"
: "${K:=20}" "${N_CONTEXT:=10}" "${RETRIEVER_PASSAGES:=20}" "${EVAL_K:=1,5,20}"
: "${READER_STEPS:=400}" "${READER_BATCH:=32}" "${READER_LR:=5e-4}" "${READER_EVAL_EVERY:=100}"
: "${RETRIEVER_STEPS:=300}" "${RETRIEVER_BATCH:=32}" "${RETRIEVER_LR:=3e-4}" "${RETRIEVER_EVAL_EVERY:=100}"
: "${PRECISION:=float32}"

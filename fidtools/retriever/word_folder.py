"""Reading the files of an LSTM or CNN over word vectors, which `sentence_transformers` writes."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from fidtools.data.jsonl import read_json_object
from fidtools.encoders.word_encoders import WordCNN, WordEncoder, WordLSTM
from fidtools.encoders.word_tokenizer import WordTokenizer, check_vocabulary
from fidtools.errors import DataError


def read_word_encoder(folder: Path, student: str, dropout: float) -> tuple[WordEncoder, WordTokenizer]:
    """The encoder and the tokenizer of a folder, whose `retriever.json` says which `student` it is.

    Raises DataError for an unknown student and for weights that do not fit their configuration.
    """
    words = read_json_object(folder / "0_WordEmbeddings" / "whitespacetokenizer_config.json")
    vectors = load_file(folder / "0_WordEmbeddings" / "model.safetensors")["emb_layer.weight"]
    check_vocabulary(words["vocab"], len(vectors), folder)
    if student not in ("lstm", "cnn"):
        raise DataError("must be transformer, lstm, cnn or static", path=folder / "retriever.json", value=student)
    layers = _load_lstm(folder) if student == "lstm" else _load_cnn(folder)
    encoder = WordEncoder(vectors, layers, dropout=dropout)
    return encoder.eval(), WordTokenizer(words["vocab"])


def _load_lstm(folder: Path) -> WordLSTM:
    shape = read_json_object(folder / "1_LSTM" / "lstm_config.json")
    tensors = load_file(folder / "1_LSTM" / "model.safetensors")
    sizes = [4 * shape["hidden_dim"], shape["embedding_dimension"]]  # before memory is allocated for them
    if list(tensors["encoder.weight_ih_l0"].shape) != sizes or len(tensors) != 8 * shape["num_layers"]:
        raise DataError("the weights are not those of lstm_config.json", path=folder / "1_LSTM")
    layers = WordLSTM(shape["embedding_dimension"], shape["hidden_dim"], shape["num_layers"], shape["dropout"])
    layers.rnn.load_state_dict({name.removeprefix("encoder."): value for name, value in tensors.items()})
    return layers


def _load_cnn(folder: Path) -> WordCNN:
    shape = read_json_object(folder / "1_CNN" / "cnn_config.json")
    tensors = load_file(folder / "1_CNN" / "model.safetensors")
    sizes = [[shape["out_channels"], shape["in_embedding_dimension"], width] for width in shape["kernel_sizes"]]
    if [list(tensors[f"convs.{i}.weight"].shape) for i in range(len(sizes))] != sizes:
        raise DataError("the weights are not those of cnn_config.json", path=folder / "1_CNN")
    layers = WordCNN(shape["in_embedding_dimension"], shape["out_channels"], shape["kernel_sizes"])
    layers.load_state_dict(tensors)
    return layers

"""Word vectors from a sentence encoder, where GloVe is unavailable: each word is encoded alone, then reduced by PCA.

    python examples/fever/word_vectors.py TEXTS… [--encoder minilm] [--dim 100] -o vectors.txt

TEXTS are JSONL passages and questions; their words are written in descending frequency, in GloVe's text format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import open_output
from fidtools.data.jsonl import read_json
from fidtools.encoders.word_tokenizer import build_vocabulary
from fidtools.retriever.encoding import load_retriever

SPREAD = 0.3  # standard deviation of the first component; those of the others are the square roots of their share


def texts(paths: Iterable[str]) -> Iterator[str]:
    """Every title, text and question of some files."""
    for path in paths:
        for _, record in read_json(path):
            yield " ".join(record.get(field, "") for field in ("title", "text", "question"))


def fewer(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """The `dim` principal components of vectors (n, d), each divided by the root of its standard deviation."""
    centred = vectors - vectors.mean(0)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
    kept = centred @ axes[:, ::-1][:, :dim]
    deviation = np.sqrt(variance[::-1][:dim])
    scaled: NDArray[np.float32] = SPREAD * kept / np.sqrt(deviation * deviation[0])
    return scaled


@click.command()
@click.argument("paths", type=click.Path(exists=True), nargs=-1, required=True)
@click.option("--encoder", default="minilm", show_default=True, help="A retriever folder or model name.")
@click.option("--dim", default=100, show_default=True, help="Size of the word vectors.")
@click.option("--words", default=50_000, show_default=True, help="Maximum number of words.")
@click.option("-o", "--output", type=click.Path(), required=True, help="The file to write.")
def main(paths: tuple[str, ...], encoder: str, dim: int, words: int, output: str) -> None:
    """Write the vectors of the words of PATHS."""
    vocabulary = build_vocabulary(texts(paths), words)[1:]
    vectors = fewer(load_retriever(encoder).encode_questions(vocabulary), dim)
    with open_output(output) as out:
        for word, row in zip(vocabulary, vectors, strict=True):
            out.write(f"{word} {' '.join(f'{x:.4f}' for x in row)}\n".encode())


if __name__ == "__main__":
    main()

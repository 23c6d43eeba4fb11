"""Make the two small checkpoints from which the toy example starts: `python pretrain.py [FOLDER]`.

The reader is a T5, the retriever a BERT. Both learn from statements and passages of other worlds (other seeds, other
people); neither sees a question. About five minutes on two CPU cores.
"""

import argparse
import logging
from pathlib import Path

import torch
from reader_start import pretrain_reader
from retriever_start import pretrain_retriever


def main() -> None:
    """Parse the arguments and make the checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("--only", choices=("reader", "retriever"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, make in (("reader", pretrain_reader), ("retriever", pretrain_retriever)):
        if args.only in (None, name):
            torch.manual_seed(0)
            make(args.folder / name)


if __name__ == "__main__":
    main()

"""The tiny encoder and scored questions of the retriever's tests."""

import torch

from tests.scored_questions import plain_model, questions

__all__ = ["plain_model", "questions"]

torch.set_num_threads(1)  # these models are too small for two

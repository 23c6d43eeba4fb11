"""The tiny model and questions of the retriever's tests."""

from tests.retriever.conftest import plain_model, questions

__all__ = ["plain_model", "questions"]

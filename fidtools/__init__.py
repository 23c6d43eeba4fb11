"""Train open-domain question-answering retrievers without passage labels."""

__version__ = "0.1.0"

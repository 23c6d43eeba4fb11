"""Causal language models as teachers: the likelihood of an answer or of a question, given a passage."""

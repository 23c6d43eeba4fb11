"""Metrics as pure functions of texts, ranks and scores."""

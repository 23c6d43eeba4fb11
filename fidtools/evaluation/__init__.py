"""How good answers, passages and rankings are, as the official scorers count it."""

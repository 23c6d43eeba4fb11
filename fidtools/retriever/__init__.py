"""Bi-encoders that learn to rank passages as a teacher does: models, losses, training, encoding."""

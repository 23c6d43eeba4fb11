"""Checkpoints released with the paper, converted to plain folders."""

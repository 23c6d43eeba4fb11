"""The models of the toy world, as folders: small, and in the repository."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).resolve().parents[1] / "examples" / "toy" / "models"
READER, RETRIEVER = str(MODELS / "reader"), str(MODELS / "retriever")

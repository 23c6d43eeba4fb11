"""The kinds of relevance labels. Without numpy, so that commands list them and start fast."""

from __future__ import annotations

from typing import Literal, get_args

Labels = Literal["gold", "answer"]
"""Relevant passages are those named in `gold`, or those that contain an answer."""
LABELS: tuple[str, ...] = get_args(Labels)

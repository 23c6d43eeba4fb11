"""What a synthetic question's own passage teaches. Without numpy, so that commands list it and start fast."""

from __future__ import annotations

from typing import Literal, get_args

SourcePassage = Literal["keep", "cap", "drop"]
"""How training treats the passage that a synthetic question was written from.

The model that wrote the question made it likely, given that passage: its question-likelihood says that the model wrote
it, not that the passage answers it better than others. `keep` takes the score as it is. `cap` lowers it to the best of
the other passages': the passage stays among the best, and the other teachers decide. `drop` removes the passage.
"""
SOURCE_PASSAGES: tuple[str, ...] = get_args(SourcePassage)

"""How far a training run is, and which model was the best so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """How far a run is: updates done, the best model so far and its dev metrics.

    The start counts as a model, of step 0. Early stopping does not look at it: `peak` is the best value after an
    update, and `evals_without_improvement` are the evaluations since that one.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    peak: float | None = None
    evals_without_improvement: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Progress:
        """The progress of a saved state."""
        renamed = {"stale": "evals_without_improvement"}  # states that version 0.1 saved are still continued
        before: dict[str, Any] = {"peak": values.get("best")}  # those of runs that did not evaluate their start, too
        return cls(**before | {renamed.get(name, name): value for name, value in values.items()})

    def note(self, value: float | None) -> bool:
        """Count an evaluation; returns whether its model is the best so far. Without a value, each one is."""
        if self.step > 0:
            improved = value is None or self.peak is None or value > self.peak
            self.evals_without_improvement = 0 if improved else self.evals_without_improvement + 1
            self.peak = value if improved else self.peak
        is_best = value is None or self.best is None or value > self.best
        self.best = value if is_best else self.best
        return is_best

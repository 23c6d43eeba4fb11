"""Print the folder of a run's iteration that answers the most dev questions: best.py RUN."""

from __future__ import annotations

import sys
from pathlib import Path

from show import best_iteration

if __name__ == "__main__":
    run = Path(sys.argv[1])
    print(run / best_iteration(run / "best"))

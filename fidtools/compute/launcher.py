"""What a launcher such as `torchrun` sets for each process that it starts. Nothing here imports torch."""

from __future__ import annotations

LAUNCHER_SETS = ("RANK", "MASTER_ADDR", "MASTER_PORT")

"""Commands and scripts on two ranks, as `torchrun` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ON_CPU = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
RUN_COMMANDS = Path(__file__).with_name("run_commands.py")


def run_script(*script: object, env: Mapping[str, str] = ON_CPU) -> None:
    """Run a script on two ranks; fails with its messages."""
    done = subprocess.run(
        [*TORCHRUN, *map(str, script)], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def run_commands(*commands: Sequence[str]) -> None:
    """Run commands one after the other in the same two processes, as their start takes longest."""
    run_script(RUN_COMMANDS, json.dumps(commands))

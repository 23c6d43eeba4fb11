"""What several ranks must do together: to stop, and to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests import two_ranks

STOPPED = """
import sys; sys.path.insert(0, {root!r})
import torch; torch.set_num_threads(1)
from pathlib import Path
from fidtools.compute.ranks import ranks, shutdown
from tests.test_training import LineObjective, SETTINGS, train
objective = LineObjective(stop_at=5 if ranks().rank == 1 else None)
try:
    train(objective, SETTINGS, Path({out!r}) / "run", resume=False, record={{}})
except SystemExit as stopped:
    Path({out!r}, f"rank-{{ranks().rank}}").write_text(f"{{stopped.code}} after {{len(objective.seen)}}")
shutdown()
"""


def test_a_signal_to_one_rank_stops_all_at_the_same_update(tmp_path: Path) -> None:
    script = STOPPED.format(root=str(Path(__file__).parents[2]), out=str(tmp_path))
    (tmp_path / "stopped.py").write_text(script)
    two_ranks.run_script(tmp_path / "stopped.py")
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in (0, 1)] == ["143 after 5", "143 after 5"]
    progress = orjson.loads((tmp_path / "run.partial/state-5/progress.json").read_bytes())
    assert progress["step"] == 5


ENDED = """
import os, sys; sys.path.insert(0, {root!r})
from fidtools import cli
from fidtools.compute import ranks
from fidtools.errors import FidtoolsError
def shutdown():
    raise {error}
ranks.shutdown = shutdown
cli.main(["doctor", "--help"])
"""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("FidtoolsError('another rank has ended')", 1, "fidtools: another rank has ended\n"),
        ("KeyboardInterrupt", 130, "fidtools: interrupted\n"),
    ],
)
def test_a_rank_that_waits_at_its_end_for_one_that_failed_says_so(error: str, code: int, said: str) -> None:
    script = ENDED.format(root=str(Path(__file__).parents[2]), error=error)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)

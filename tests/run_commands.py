"""Started by `torchrun` in the tests of ranks: runs the commands given as JSON, and fails when one does."""

import json
import sys

from fidtools.cli import run
from fidtools.compute.ranks import shutdown

for command in json.loads(sys.argv[1]):
    if code := run(command):
        sys.exit(code)
shutdown()  # as `fidtools` does: a rank that just exits may abort (SIGABRT)

"""The tests of fidtools."""

from pathlib import Path

GOLDEN = Path(__file__).with_name("golden")
"""Numbers of the reference implementation; golden/README.md describes the files."""

"""The data sets by name, with the module of this package that makes each. Light to import, as `--help` lists them."""

from __future__ import annotations

MODULES = {
    "nq": "nq",
    "triviaqa": "triviaqa",
    "narrativeqa": "narrativeqa",
    "narrativeqa-web": "narrativeqa",
    "narrativeqa-summaries": "narrativeqa",
    "fever": "fever",
    "squad": "squad",
    "toy": "toy",
}

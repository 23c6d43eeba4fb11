#!/usr/bin/env bash
# Table 4: NarrativeQA from whole stories, before and after one iteration.
# shellcheck source=examples/tables/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
run narrativeqa-bm25 narrativeqa "${ITERATIONS:-1}" START=bm25
show 4

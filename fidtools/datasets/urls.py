"""The published files: addresses, sizes and hashes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fidtools.data.jsonl import read_json_object
from fidtools.errors import DataError


@dataclass(frozen=True)
class Download:
    """One file on the web. Without `sha256`, the hash of the first download is recorded and verified from then on.

    `optional` files may be unavailable: their contents are then left out, with a warning. `limit` bounds a file of
    unknown size, which a server may send without end. Names and addresses may come from a data set's table: raises
    DataError for a name that is none of a file in the folder.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    optional: bool = False
    limit: int = 1 << 36

    def __post_init__(self) -> None:
        if self.name != Path(self.name).name or self.name[:1] in ("", ".") or not self.name.isprintable():
            raise DataError("cannot be the name of a downloaded file", field="name", value=self.name)


NQ = "https://raw.githubusercontent.com/google-research-datasets/natural-questions/master/nq_open/"
TRIVIAQA = "https://nlp.cs.washington.edu/triviaqa/data/"
FACEBOOK = "https://dl.fbaipublicfiles.com/"
NARRATIVEQA = "https://raw.githubusercontent.com/google-deepmind/narrativeqa/master/"
SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
FEVER = "https://fever.ai/download/fever/"

TABLE = (
    Download(
        "psgs_w100.tsv.gz",
        FACEBOOK + "dpr/wikipedia_split/psgs_w100.tsv.gz",
        4_694_541_059,
        "c39b020c855a2b5c25ffef3abe4a3b6f9b829ad7dbc14ec3d163d34d7c53ea8d",
    ),
    Download("dataindex.tar.gz", FACEBOOK + "FiD/data/dataindex.tar.gz", optional=True),
    Download(
        "NQ-open.train.jsonl",
        NQ + "NQ-open.train.jsonl",
        8_522_298,
        "0c93aaf13b12f855628489665e4ef85ffb8573ad444646f11f4fabdc57a0aabf",
    ),
    Download(
        "NQ-open.dev.jsonl",
        NQ + "NQ-open.dev.jsonl",
        391_316,
        "f15567f38099f3615f5b8a685c0aef449c11ad90d3da3735e8d1b98115b40616",
    ),
    Download(
        "triviaqa-unfiltered.tar.gz",
        TRIVIAQA + "triviaqa-unfiltered.tar.gz",
        632_549_060,
        "7f0c94207fd0a1eb7bba3d52cdfe0735c98de850b9e5aa4e75f2776ef9a531d0",
    ),
    Download("narrativeqa-documents.csv", NARRATIVEQA + "documents.csv"),
    Download("narrativeqa-qaps.csv", NARRATIVEQA + "qaps.csv"),
    Download("narrativeqa-summaries.csv", NARRATIVEQA + "third_party/wikipedia/summaries.csv"),
    Download(
        "narrativeqa-stories.zip",
        "https://storage.googleapis.com/huggingface-nlp/datasets/narrative_qa/narrativeqa_full_text.zip",
        187_416_846,
        "3e179a579d348da37b4929f20ece277a721f853fdc5efc11f915904de2a71727",
    ),
    Download(
        "squad-train-v1.1.json",
        SQUAD + "train-v1.1.json",
        30_288_272,
        "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
    ),
    Download(
        "squad-dev-v1.1.json",
        SQUAD + "dev-v1.1.json",
        4_854_279,
        "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
    ),
    Download(
        "fever-train.jsonl",
        FEVER + "train.jsonl",
        33_024_303,
        "eba7e8f87076753f8494718b9a857827af7bf73e76c9e4b75420207d26e588b6",
    ),
    Download(
        "fever-paper_dev.jsonl",
        FEVER + "paper_dev.jsonl",
        2_168_767,
        "41158707810008747946bf23471e82df53e77a513524b9e3ec1c2e674ef5ef8c",
    ),
    Download(
        "fever-paper_test.jsonl",
        FEVER + "paper_test.jsonl",
        2_181_168,
        "fb7b0280a0adc2302bbb29bfb7af37274fa585de3171bcf908f180642d11d88e",
    ),
    Download(
        "fever-wiki-pages.zip",
        FEVER + "wiki-pages.zip",
        1_713_485_474,
        "4b06d95da6adf7fe02d2796176c670dacccb21348da89cba4c50676ab99665f2",
    ),
)

LICENCES = {
    "wikipedia": "passages: Wikipedia of 20 December 2018, CC BY-SA 3.0, in the split of DPR, CC BY-NC 4.0",
    "index": "the index of the train and dev questions: FiD, CC BY-NC 4.0",
    "nq": "questions and answers: Natural Questions (Kwiatkowski et al. 2019; Lee et al. 2019), CC BY-SA 3.0",
    "triviaqa": "questions and answers: TriviaQA (Joshi et al. 2017), Apache 2.0; questions belong to their authors",
    "narrativeqa": "questions and answers: NarrativeQA (Kočiský et al. 2018), Apache 2.0",
    "stories": "stories: Project Gutenberg's are in the public domain in the USA; scripts belong to their owners",
    "summaries": "summaries: Wikipedia, CC BY-SA 3.0",
    "squad": "passages, questions and answers: SQuAD 1.1 (Rajpurkar et al. 2016), CC BY-SA 4.0",
    "fever": "claims: FEVER (Thorne et al. 2018), https://fever.ai/download/fever/license.html",
    "fever-wiki": "passages: Wikipedia of June 2017 as FEVER publishes it, CC BY-SA 3.0",
}


def source_table(overrides: Path | None = None) -> dict[str, Download]:
    """The downloads by name; `overrides` is a JSON object {name: {"url", "size", "sha256"}} that replaces fields.

    A new address without a new hash keeps the old hash, so that a file that moved is known to be the same.
    Raises DataError for a name or field that the table does not have.
    """
    sources = {source.name: source for source in TABLE}
    if overrides is not None:
        for name, changes in read_json_object(overrides).items():
            if name not in sources:
                hint = f"available: {', '.join(sources)}"
                raise DataError("unknown file", path=overrides, field=name, hint=hint)
            sources[name] = _replaced(sources[name], changes, overrides)
    return sources


def _replaced(source: Download, changes: Any, path: Path) -> Download:
    kinds = {"url": str, "size": int | None, "sha256": str | None}
    fits = isinstance(changes, dict) and all(k in kinds and isinstance(v, kinds[k]) for k, v in changes.items())
    if not fits:
        problem = "must be an object with url (string), size (bytes or null) and sha256 (string or null)"
        raise DataError(problem, path=path, field=source.name, value=changes)
    return replace(source, **changes)

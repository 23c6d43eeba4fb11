"""The files that the data sets publish, small, made from real data: what `fidtools fetch` finds on a mirror.

`python tests/datasets/published.py SHARED FOLDER` writes them, with a `sources.json` for `--sources` that says their
sizes and hashes; then `python -m http.server -d FOLDER` is a mirror.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write(shared: Path, folder: Path) -> None:
    """All files, and `sources.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    data = shared / "data"
    files = nq(data / "nq-gold") | triviaqa(data) | narrativeqa(data) | fever(data / "fever-like" / "fever-evidence")
    files |= squad(data / "squad-open" / "small")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    table = {n: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in files.items()}
    (folder / "sources.json").write_text(json.dumps(table))


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def lines(records: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def table(header: tuple[str, ...], rows: Iterable[Iterable[str]], **options: Any) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, **({"lineterminator": "\n"} | options))
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def tar_gz(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def index(prefix: str, train: int, dev: int, test: int) -> dict[str, bytes]:
    """Index files in the published form: the dev rows are spread over the original train file."""
    rows = list(range(train + dev))
    chosen = rows[:: max(1, len(rows) // dev)][:dev]
    split = {"train": sorted(set(rows) - set(chosen)), "dev": chosen, "test": list(range(test))}
    return {f"{prefix}.{name}.idx.json": json.dumps(found).encode() for name, found in split.items()}


def passages_table(passages: list[dict[str, Any]]) -> bytes:
    """`psgs_w100.tsv.gz`: every text quoted, as in the published file."""
    rows = "".join(
        f'{n}\t"{p["text"].replace(chr(34), chr(34) * 2)}"\t{p["title"]}\n' for n, p in enumerate(passages, 1)
    )
    return gzip.compress(b"id\ttext\ttitle\n" + rows.encode(), mtime=0)


def nq(folder: Path) -> dict[str, bytes]:
    splits = {name: read(folder / f"{name}.jsonl.gz") for name in ("train", "dev", "test")}
    original = {name: [{"question": q["question"], "answer": q["answers"]} for q in qs] for name, qs in splits.items()}
    return {
        "NQ-open.train.jsonl": lines(original["train"] + original["dev"]),
        "NQ-open.dev.jsonl": lines(original["test"]),
        "psgs_w100.tsv.gz": passages_table(read(folder / "passages.jsonl.gz")),
    }


def triviaqa(data: Path) -> dict[str, bytes]:
    """The questions of TriviaQA that are at hand in the layout of the unfiltered archive; the index of both sets."""
    train, test = (read(data / "qa-only" / f"triviaqa-{name}.jsonl.gz") for name in ("dev", "test"))

    def document(name: str, questions: list[dict[str, Any]]) -> bytes:
        entries = [
            {
                "Answer": {"Aliases": q["answers"], "Value": q["answers"][0], "Type": "FreeForm"},
                "EntityPages": [],
                "Question": q["question"],
                "QuestionId": f"{name}_{n}",
                "SearchResults": [{"Rank": 0, "Title": "a title", "Url": "http://example.org"}],
            }
            for n, q in enumerate(questions)
        ]
        return json.dumps({"Data": entries, "Domain": "unfiltered-web", "Version": 1.0}, indent=1).encode()

    folder = data / "nq-gold"
    sizes = [len(read(folder / f"{name}.jsonl.gz")) for name in ("train", "dev", "test")]
    indices = index("NQ", *sizes) | index("TQA", len(train) - 200, 200, len(test))
    return {
        "triviaqa-unfiltered.tar.gz": tar_gz(
            {
                "triviaqa-unfiltered/README": b"",
                "triviaqa-unfiltered/unfiltered-web-train.json": document("tc", train),
                "triviaqa-unfiltered/unfiltered-web-dev.json": document("qb", test),
            }
        ),
        "dataindex.tar.gz": tar_gz({f"dataindex/{name}": content for name, content in indices.items()}),
    }


def narrativeqa(data: Path) -> dict[str, bytes]:
    """Stories of FairytaleQA as full texts; the summaries as such. Every tenth story is valid, the next one test."""
    fairy, plots = data / "fairytaleqa", data / "narrativeqa-summaries"
    questions = read(fairy / "train.jsonl.gz") + read(fairy / "val.jsonl.gz") + read(plots / "questions.jsonl.gz")
    stories, summaries = (_texts(folder / "passages.jsonl.gz") for folder in (fairy, plots))
    sets = {i: {0: "valid", 1: "test"}.get(n % 10, "train") for n, i in enumerate([*stories, *summaries])}
    documents = [(i, sets[i], "gutenberg", f"http://127.0.0.1:9/{i}.txt", "1", "", i, "1", "", "") for i in sets]
    qaps = [(q["doc_id"], sets[q["doc_id"]], q["question"], *(q["answers"] * 2)[:2]) for q in questions]
    return {
        "narrativeqa-documents.csv": table(
            tuple(
                "document_id set kind story_url story_file_size wiki_url wiki_title story_word_count story_start"
                " story_end".split()
            ),
            documents,
        ),
        "narrativeqa-qaps.csv": table(("document_id", "set", "question", "answer1", "answer2"), qaps),
        "narrativeqa-summaries.csv": table(
            ("document_id", "set", "summary"), ((i, sets[i], text) for i, text in summaries.items())
        ),
        "narrativeqa-stories.zip": zip_of({f"tmp/{i}.content": text.encode() for i, text in stories.items()}),
    }


def _texts(path: Path) -> dict[str, str]:
    words = defaultdict(list)
    for passage in read(path):
        words[passage["doc_id"]].append(passage["text"])
    return {i: " ".join(parts) for i, parts in words.items()}


def fever(folder: Path) -> dict[str, bytes]:
    train, dev = (read(folder / f"{name}.jsonl.gz") for name in ("train", "dev"))
    pages = read(folder / "docs.jsonl.gz")

    def claims(found: list[dict[str, Any]], start: int) -> bytes:
        return lines(
            {
                "id": number,
                "verifiable": "VERIFIABLE",
                "label": c["label"],
                "claim": c["claim"],
                "evidence": [[[number, number, page, sentence] for page, sentence in c["evidence"]]],
            }
            for number, c in enumerate(found, start)
        )

    wiki = lines({"id": p["id"], "text": p["text"], "lines": f"0\t{p['text']}"} for p in pages)
    return {
        "fever-train.jsonl": claims(train, 0),
        "fever-paper_dev.jsonl": claims(dev[::2], 10_000),
        "fever-paper_test.jsonl": claims(dev[1::2], 20_000),
        "fever-wiki-pages.zip": zip_of(
            {
                "wiki-pages/wiki-001.jsonl": lines([{"id": "", "text": "", "lines": ""}]),
                "wiki-pages/wiki-002.jsonl": wiki,
            }
        ),
    }


def squad(folder: Path) -> dict[str, bytes]:
    """Articles whose paragraphs are the passages; an answer's offset is its first place in the gold passage."""
    articles: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for passage in read(folder / "passages.jsonl.gz"):
        articles[passage["title"]][passage["id"]] = {"context": passage["text"], "qas": []}

    def document(names: tuple[str, ...]) -> bytes:
        titles = {}
        for name in names:
            for question in read(folder / f"{name}.jsonl.gz"):
                paragraph = articles[question["title"]].get(question["gold"][0], {"context": "", "qas": []})
                places = [(a, paragraph["context"].find(a)) for a in question["answers"]]
                spans = [{"text": a, "answer_start": place} for a, place in places if place >= 0]
                if spans:
                    titles[question["title"]] = None
                    paragraph["qas"].append({"id": question["id"], "question": question["question"], "answers": spans})
        data = [{"title": t.replace(" ", "_"), "paragraphs": list(articles[t].values())} for t in titles]
        return json.dumps({"data": data, "version": "1.1"}).encode()

    return {"squad-train-v1.1.json": document(("train", "dev")), "squad-dev-v1.1.json": document(("test",))}


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))

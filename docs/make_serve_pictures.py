"""The pictures of the search page:   python docs/make_serve_pictures.py runs/toy data/toy.

Serves the last iteration of a run of `bin/iterate.sh toy`. Needs Chromium (`apt-get install chromium`) and the extra
`dev`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from make_pictures import save
from playwright.sync_api import Page, sync_playwright

QUESTION = "What does Ada Norden do for a living?"
PICTURES = [
    ("serve-light.png", 1200, 860, "light", False),
    ("serve-dark.png", 1200, 860, "dark", True),
    ("serve-narrow-light.png", 400, 860, "light", True),
    ("serve-narrow-dark.png", 400, 860, "dark", False),
]


def start(run: Path, data: Path) -> tuple[subprocess.Popen[str], str]:
    """The server of the last iteration, and its address."""
    last = max(
        (folder for folder in run.glob("[0-9]*") if (folder / "passages.npy").exists()), key=lambda f: int(f.name)
    )
    options = ["--bm25", "--retriever", last / "retriever", "--embeddings", last / "passages.npy"]
    command = [sys.executable, "-m", "fidtools", "serve", *options, "--reader", last / "reader", "--port", "0"]
    server = subprocess.Popen([*command, "-p", data / "passages.jsonl"], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"^serving .* at (\S+) ", line):
            return server, found[1]
    raise SystemExit("the server did not start")


def ask(page: Page, url: str, heat: bool) -> None:
    """Ask the question; `heat` shades the words by attention."""
    page.goto(url)
    page.fill("#question", QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector(".passage")
    if heat:
        page.check("#heat")


def main(run: Path, data: Path) -> None:
    """Take all pictures."""
    server, url = start(run, data)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, width, height, scheme, heat in PICTURES:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            ask(page, url, heat)
            save(page, name)
            page.close()
        browser.close()
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The pictures of a report in these pages:   python docs/make_pictures.py runs/toy.

Needs Chromium (`apt-get install chromium`) and the extra `dev`.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
COLOURS = 256


def save(page: Page, name: str) -> None:
    """Keep what is on the screen, in few colours: a small file."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


def open_question(page: Page) -> None:
    """Open the first lost question, with the attention on its passages."""
    page.locator(".card a").first.click()
    page.wait_for_selector(".column")
    page.get_by_label("attention", exact=True).check()


def main(run: str) -> None:
    """Write a report of the run and take its pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        report = Path(folder) / "report.html"
        subprocess.run([sys.executable, "-m", "fidtools", "report", run, "--attention", "20", "-o", report], check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, width, height, scheme, asked in (
            ("report-light.png", 1600, 1010, "light", False),
            ("report-dark.png", 1600, 1010, "dark", False),
            ("report-question.png", 1600, 900, "light", True),
            ("report-narrow-light.png", 400, 850, "light", False),
            ("report-narrow-dark.png", 400, 850, "dark", True),
        ):
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(report.as_uri())
            page.wait_for_selector("body[data-ready]", state="attached")
            if asked:
                open_question(page)
            save(page, name)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])

"""A page opened in a real browser."""

from __future__ import annotations

from typing import Any


class Opened:
    """A page, with what it asked for and what went wrong in it."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.errors, self.requests = page, [], []
        page.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)
        page.wait_for_selector("body[data-ready]", state="attached")

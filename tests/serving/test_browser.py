"""The search page in a real browser: it answers, asks nobody else, and runs nothing from data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fidtools.serving.limits import Limits
from fidtools.serving.opening import open_searcher
from fidtools.serving.routes import Policy
from fidtools.serving.worker import Worker
from tests.browser import Opened
from tests.serving.conftest import HOSTILE, Served

pytestmark = pytest.mark.browser


class Page(Opened):
    """The search page."""

    def ask(self, question: str) -> None:
        before = self.page.evaluate("latest")
        self.page.fill("#question", question)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(f"body[data-shown='{before + 1}']", state="attached")


@pytest.fixture
def opened(browser) -> Iterator[Any]:
    contexts = []

    def open_page(url: str, width: int = 1200, scheme: str = "light") -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        return Page(contexts[-1].new_page(), url)

    yield open_page
    for context in contexts:
        context.close()


def test_a_question_is_answered_with_its_passages(opened, served, world):
    question = world.questions[0]
    expected = served.post("/search", question=question).json
    found = opened(served.url)
    found.ask(question)
    page = found.page
    assert page.locator("#about").inner_text() == "302 passages · bm25 + dense · reader"
    assert page.locator("#answer-text").inner_text() == expected["answer"]
    assert page.locator("#probability-text").inner_text() == f"probability {expected['probability']:.2f}"
    passages = page.locator(".passage")
    assert passages.count() == 10
    for place, passage in enumerate(expected["passages"]):
        shown = passages.nth(place)
        assert shown.locator("p").first.inner_text() == "".join(text for text, *_ in passage["text"])
        assert shown.locator(".tag").count() == int(passage["has_answer"])
        words = [text for text, mark, _ in passage["text"] if mark == "word"]
        assert shown.locator("mark.word").all_inner_texts() == words
        assert f"fused {passage['score']:.4g}" in shown.locator(".facts").inner_text()
    places = [place for place, passage in enumerate(expected["passages"], 1) if passage["has_answer"]]
    assert page.locator("#sources a").all_inner_texts() == list(map(str, places))
    assert page.title() == f"{question} – fidtools search"
    assert found.errors == []


def test_attention_is_shown_when_it_is_asked_for(opened, served, world):
    found = opened(served.url)
    found.ask(world.questions[0])
    token = found.page.locator(".token").first
    shade = "element => getComputedStyle(element).backgroundColor"
    assert token.evaluate(shade) == "rgba(0, 0, 0, 0)"
    found.page.check("#heat")
    assert token.evaluate(shade) != "rgba(0, 0, 0, 0)"
    assert token.get_attribute("title").endswith("of the attention")
    assert found.errors == []


def test_nothing_is_loaded_from_elsewhere_and_data_stays_text(opened, served):
    found = opened(served.url)
    found.ask(f"what did the zebra eat? {HOSTILE}")
    page = found.page
    assert HOSTILE in page.locator(".passage p").first.inner_text()
    assert page.locator(".passage h3").first.inner_text() == f"Zebra {HOSTILE}"
    assert page.locator("main script, main img").count() == 0
    assert page.title().startswith("what did the zebra eat? <script>")
    assert [url for url in found.requests if not url.startswith((served.url, "data:"))] == []
    assert found.errors == []


def test_the_policy_stops_a_script_that_gets_in_all_the_same(opened, served):
    found = opened(served.url)
    found.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))"
    )
    assert found.page.evaluate("typeof hacked") == "undefined"
    assert any("Content Security Policy" in error for error in found.errors)


def test_an_address_with_a_question_and_the_way_back(opened, served, world):
    one, other = world.questions[:2]
    found = opened(served.url)
    found.page.select_option("#topk", "5")
    found.ask(one)
    assert found.page.locator(".passage").count() == 5
    found.ask(other)
    address = found.page.url
    found.page.go_back()
    found.page.wait_for_selector("body[data-shown='3']", state="attached")
    assert found.page.input_value("#question") == one
    again = opened(address).page
    again.wait_for_selector(".passage")
    assert again.input_value("#question") == other
    assert again.locator(".passage").count() == 5


def test_the_keyboard_is_enough(opened, served, world):
    page = opened(served.url).page
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type(world.questions[0])
    page.keyboard.press("Enter")
    page.wait_for_selector(".passage")
    page.locator("#heat").focus()
    page.keyboard.press("Space")
    assert page.locator("#passages.heated").count() == 1
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "question"


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_wide_light_and_dark(opened, served, width, scheme):
    found = opened(served.url, width=width, scheme=scheme)
    found.ask(f"what did the zebra eat? {'unbroken' * 40}")
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    colours = "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    text, ground = (sum(map(int, value[4:-1].split(","))) for value in page.evaluate(colours))
    assert (text > ground) == (scheme == "dark")
    assert abs(text - ground) > 500
    assert found.errors == []


def test_a_search_without_reader_and_without_hits(opened, world):
    with Served(Worker(open_searcher(world.sources(bm25=True)), None, Limits())) as running:
        found = opened(running.url)
        found.ask("xylophone")
        assert found.page.locator("#status").inner_text() == "No passage was found."
        assert found.page.locator("#answer").is_hidden()
        found.ask("zebra")
        assert found.page.locator(".passage").count() == 1
        assert "attention" not in found.page.locator(".facts").inner_text()
        assert found.errors == []


def test_a_token_is_asked_for_and_kept(opened, world):
    with Served(Worker(open_searcher(world.sources(bm25=True)), None, Limits()), Policy(token="s3cret")) as running:
        page = opened(running.url).page
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.fill("#question", "zebra")
        page.keyboard.press("Enter")
        page.wait_for_selector("#status.bad")
        assert page.locator("#status").inner_text() == "This token is not the server's."
        page.fill("#token", "s3cret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#about:not(:empty)")
        page.fill("#question", "zebra")
        page.keyboard.press("Enter")
        page.wait_for_selector(".passage")
        assert page.locator("#token-form").is_hidden()


def test_a_server_that_has_ended_is_reported(opened, world):
    with Served(Worker(open_searcher(world.sources(bm25=True)), None, Limits())) as running:
        page = opened(running.url).page
    page.fill("#question", "zebra")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status.bad")
    assert page.locator("#status").inner_text() == "No answer: the server does not answer."


def test_the_page_for_programs(opened, served):
    found = opened(f"{served.url}/docs")
    assert found.page.locator("h2").all_inner_texts() == [
        "POST /retrieve",
        "POST /read",
        "POST /search",
        "GET /health",
        "Errors",
    ]
    assert '"topk":3' in found.page.locator("pre").first.inner_text()
    assert found.errors == []

"""The page in a real browser: it opens, searches, filters and shows, asks for nothing, and runs nothing from data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from fidtools.cli import run
from tests.browser import Opened
from tests.toy_models import READER

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(browser, run_folder, tmp_path) -> Iterator[Any]:
    """Open a report of the run with these arguments, in a window of this width and scheme."""
    contexts = []

    def write_and_open(*arguments: object, width: int = 1600, scheme: str = "light") -> Opened:
        path = tmp_path / "report.html"
        assert run(["report", str(run_folder), *map(str, arguments), "-o", str(path)]) == 0
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        return Opened(contexts[-1].new_page(), path.as_uri())

    yield write_and_open
    for context in contexts:
        context.close()


def row_names(page: Any) -> list[str]:
    return [text.split("?")[0].removeprefix("Question ") for text in page.locator("tr.row .toggle").all_inner_texts()]


def test_a_row_opens_to_its_passages_side_by_side(opened):
    found = opened()
    page = found.page
    page.get_by_role("button", name="Question lost-passages?").click()
    page.wait_for_selector(".column")
    columns = page.locator(".column")
    assert columns.count() == 2
    assert columns.nth(0).locator("h3").inner_text() == "BM25\n“Paris” (probability 0.61)"
    assert columns.nth(0).locator(".passage").count() == 3
    assert columns.nth(0).locator(".passage.answer mark").all_inner_texts() == ["Paris"]
    assert columns.nth(0).locator(".passage.answer header b").inner_text() == "2"
    assert columns.nth(1).locator(".passage.answer header b").inner_text() == "3"
    assert columns.nth(1).locator(".reads").inner_text() == "the reader reads to here (2)"
    assert "bm25 9" in columns.nth(0).locator(".scores").first.inner_text()
    page.get_by_role("button", name="Question lost-passages?").click()
    assert columns.count() == 0
    assert found.errors == []


def test_nothing_is_loaded_from_elsewhere_and_data_stays_text(opened):
    found = opened()
    page = found.page
    for button in page.locator("tr.row .toggle").all():
        button.click()
    page.locator(".columns").nth(5).wait_for()
    assert [url for url in found.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in found.requests if url.startswith("file:")]) == 1
    assert page.title() == "myrun – fidtools report"
    assert page.locator("main script, main img").count() == 0
    assert page.locator(".passage p").first.inner_text().startswith("It is ")
    assert '<script>document.title = "hacked"</script><img src=x' in page.locator(".passage p").first.inner_text()
    assert found.errors == []


def test_the_policy_stops_a_script_that_gets_in_all_the_same(opened):
    found = opened()
    found.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))"
    )
    assert found.page.evaluate("typeof hacked") == "undefined"
    assert any("Content Security Policy" in error for error in found.errors)


def test_filters_filter(opened):
    found = opened()
    page = found.page
    chips = page.locator("#chips button")
    assert chips.all_inner_texts() == ["all 6", "lost 3", "won 1", "both wrong 1", "both right 1"]
    chips.nth(1).click()
    assert row_names(page) == ["lost-passages", "lost-reader", "lost-guess"]
    assert page.locator("tr.row .o").all_inner_texts() == ["lost passages", "lost reader", "lost guess"]
    assert page.locator("#count").inner_text() == "3 of 6 questions"
    page.select_option("#from", "1")
    page.select_option("#to", "0")
    assert row_names(page) == ["won-passages"]
    page.select_option("#judge", "1")  # R@1 from iteration 1 to BM25
    assert chips.all_inner_texts() == ["all 6", "lost 1", "won 1", "never found 3", "found by both 1"]
    assert row_names(page) == ["won-passages"]
    assert found.errors == []


def test_search_finds_questions_answers_and_predictions(opened):
    found = opened()
    page = found.page
    page.fill("#search", "GUESS")
    assert row_names(page) == ["lost-guess"]
    page.fill("#search", "oslo")
    assert row_names(page) == ["neither"]
    page.fill("#search", "nothing like it")
    assert page.locator("#count").inner_text() == "0 of 6 questions"
    assert found.errors == []


def test_columns_sort_both_ways(opened):
    found = opened()
    page = found.page
    head = page.locator("#head th")
    head.nth(2).get_by_role("button").click()
    assert head.nth(2).get_attribute("aria-sort") == "ascending"
    names = row_names(page)
    assert names == ["both", "won-passages", "lost-reader", "lost-passages", "lost-guess", "neither"]
    head.nth(2).get_by_role("button").click()
    assert head.nth(2).get_attribute("aria-sort") == "descending"
    assert row_names(page)[-2:] == ["both", "won-passages"]


def test_the_keyboard_is_enough(opened):
    found = opened()
    page = found.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    page.keyboard.type("lost-reader")
    assert row_names(page) == ["lost-reader"]
    page.locator("tr.row .toggle").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".column")
    assert page.locator("tr.row .toggle").get_attribute("aria-expanded") == "true"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert len(row_names(page)) == 6
    assert found.errors == []


def test_a_lost_question_on_the_first_screen_leads_to_its_passages(opened):
    found = opened()
    page = found.page
    first = page.locator(".card").first
    assert "The first passage with an answer fell from rank 2 to rank 3" in first.inner_text()
    first.get_by_role("link").click()
    page.wait_for_selector(".column")
    assert row_names(page) == ["lost-passages"]
    page.get_by_role("button", name="Show all 3").click()
    assert len(row_names(page)) == 3
    assert found.errors == []


def comparison(page: Any) -> list[str]:
    return [page.locator(f"#{name}").input_value() for name in ("from", "to", "judge")]


def test_a_lost_question_opens_in_the_comparison_that_lost_it(opened, run_folder):
    lines = (run_folder / "0" / "test.answered.jsonl").read_text().splitlines(keepends=True)
    changed = [line.replace('"Rome"', '"Paris"') if "won-passages" in line else line for line in lines]
    (run_folder / "2").mkdir()
    (run_folder / "2" / "test.answered.jsonl").write_text("".join(changed))
    found = opened()
    page = found.page
    assert page.locator("h1 em").first.inner_text() == "Iteration 2"
    assert page.evaluate("document.querySelectorAll('.card').length") == 0  # the best step lost nothing
    page.goto(page.url + "#q=lost-passages&from=0&to=1")
    page.wait_for_selector(".column")
    assert comparison(page) == ["0", "1", "main"]
    assert page.locator("tr.row .o").inner_text() == "lost passages"
    assert found.errors == []


def test_a_card_sets_its_own_comparison_again(opened):
    found = opened()
    page = found.page
    assert comparison(page) == ["0", "1", "main"]
    page.select_option("#judge", "1")
    page.select_option("#from", "1")
    page.select_option("#to", "0")
    link = page.locator(".card").first.get_by_role("link")
    for _ in range(2):  # the second click leaves the address as it is
        link.click()
        page.wait_for_selector(".column")
        assert comparison(page) == ["0", "1", "main"]
        assert page.locator("tr.row .o").inner_text() == "lost passages"
        page.select_option("#judge", "1")
    assert found.errors == []


@pytest.mark.parametrize(
    "leave",
    [
        lambda page: page.go_back(),
        lambda page: page.get_by_role("link", name="Overview").click(),
        lambda page: page.get_by_role("link", name="Questions", exact=True).click(),
        lambda page: page.get_by_role("button", name="Show all questions").click(),
        lambda page: page.locator("#chips button").first.click(),
    ],
    ids=["back", "overview", "questions", "show-all", "chip"],
)
def test_the_list_is_whole_again_after_a_question_opened_from_a_link(opened, leave):
    found = opened()
    page = found.page
    every = page.get_by_role("button", name="Show all questions")
    assert not every.is_visible()
    page.locator(".card").first.get_by_role("link").click()
    page.wait_for_selector(".column")
    assert page.locator("#count").inner_text() == "1 of 6 questions"
    assert page.locator("#search").input_value() == ""
    assert every.is_visible()
    leave(page)
    page.wait_for_selector("tr.row >> nth=5")  # no function: the page forbids evaluated strings
    assert page.locator("tr.row").count() == 6
    assert not every.is_visible()
    assert "#q=" not in page.url
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    assert len(row_names(page)) == 6
    assert found.errors == []


def test_all_that_a_step_lost_clears_the_address(opened):
    found = opened()
    page = found.page
    page.locator(".card").first.get_by_role("link").click()
    page.wait_for_selector(".column")
    page.get_by_role("button", name="Show all 3").click()
    assert row_names(page) == ["lost-passages", "lost-reader", "lost-guess"]
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    assert len(row_names(page)) == 6
    assert found.errors == []


def test_the_losses_of_the_other_steps_are_one_click_away(opened, run_folder):
    shutil.copytree(run_folder / "0", run_folder / "2")  # iteration 2 wins all back, and loses won-passages
    found = opened()
    page = found.page
    line = page.locator(".other")
    assert line.inner_text().startswith("iteration 1 lost 3 against BM25")
    assert page.locator(".losses h2").inner_text() == "1 question iteration 2 lost against iteration 1"
    line.get_by_role("button", name="Show them").click()
    assert comparison(page) == ["0", "1", "main"]
    assert row_names(page) == ["lost-passages", "lost-reader", "lost-guess"]
    assert found.errors == []


def test_an_opened_row_says_why_and_shows_the_compared_systems_first(opened, run_folder):
    shutil.copytree(run_folder / "0", run_folder / "2")
    found = opened()
    page = found.page
    page.select_option("#from", "2")
    page.select_option("#to", "1")
    page.get_by_role("button", name="Question lost-passages?").click()
    page.wait_for_selector(".column")
    assert page.locator(".reason").inner_text() == (
        "The first passage with an answer fell from rank 2 to rank 3; the reader reads only the first 2."
    )
    heads = page.locator(".column h3").all_inner_texts()
    assert [head.split("\n")[0] for head in heads] == ["iteration 2", "iteration 1", "BM25"]
    assert page.locator(".column").nth(0).locator(".move").count() == 0
    assert page.locator(".column").nth(1).locator(".move").first.get_attribute("title") == "against iteration 2"
    assert found.errors == []


def test_a_system_is_not_compared_with_itself(opened):
    page = opened().page
    page.select_option("#from", "1")
    assert comparison(page) == ["1", "0", "main"]
    page.select_option("#to", "1")
    assert comparison(page) == ["0", "1", "main"]


def test_an_empty_list_says_so(opened):
    page = opened().page
    page.fill("#search", "nothing like it")
    assert page.locator("#rows").inner_text() == "No question with “nothing like it”."
    page.locator("#chips button").nth(1).click()
    wanted = "No question with “nothing like it” is “lost” from BM25 to iteration 1."
    assert page.locator("#rows").inner_text() == wanted


def test_on_a_narrow_screen_nothing_of_the_navigation_is_cut_and_passages_stack(opened):
    page = opened(width=400).page
    places = [link.bounding_box() for link in page.locator(".top nav a").all()]
    assert len(places) == 6
    assert all(place["x"] >= 0 and place["x"] + place["width"] <= 400 for place in places)
    page.locator("tr.row .toggle").first.click()
    page.wait_for_selector(".column")
    first, second = (page.locator(".column").nth(at).bounding_box() for at in (0, 1))
    assert first["x"] == second["x"]
    assert first["y"] + first["height"] <= second["y"]


def test_charts_are_drawn_and_have_names(opened):
    page = opened().page
    charts = page.locator("[data-chart]")
    names = charts.locator("> [role=img]").evaluate_all("all => all.map(chart => chart.getAttribute('aria-label'))")
    assert names[0] == "Recall at every k of every system"
    assert len(names) == charts.count()
    assert page.locator("[data-chart=recall] path").count() >= 4


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_wide_light_and_dark(opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    page = found.page
    page.locator("tr.row .toggle").first.click()
    page.wait_for_selector(".column")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    text, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    brightness = [sum(map(int, value[4:-1].split(","))) for value in (text, ground)]
    assert (brightness[0] > brightness[1]) == (scheme == "dark")
    assert abs(brightness[0] - brightness[1]) > 500
    assert found.errors == []


def test_attention_by_layer_and_head(opened, run_folder):
    for iteration in (0, 1):
        shutil.rmtree(run_folder / str(iteration) / "reader")
        shutil.copytree(READER, run_folder / str(iteration) / "reader")
    found = opened("--attention", "1")
    page = found.page
    page.get_by_role("button", name="Question lost-passages?").click()
    assert page.locator(".token").count() == 0
    page.get_by_label("attention", exact=True).check()
    shown = page.locator(".column").first.locator(".passage p").first
    assert shown.inner_text().startswith("question: Question lost-passages?")
    tokens = shown.locator(".token")
    every = tokens.evaluate_all("all => all.map(token => token.title)")
    page.get_by_label("layer").select_option("0")
    page.get_by_label("head").select_option("3")
    assert tokens.evaluate_all("all => all.map(token => token.title)") != every
    assert page.get_by_label("layer").locator("option").count() == 3
    assert page.get_by_label("head").locator("option").count() == 5
    page.get_by_label("what to show").select_option("score")
    assert not tokens.first.get_attribute("title").endswith("%")
    page.get_by_role("button", name="Question both?").click()
    page.locator(".columns").nth(1).wait_for()
    assert page.get_by_label("attention", exact=True).count() == 1
    assert found.errors == []


def test_assets_are_read_from_beside_the_page(opened, tmp_path):
    found = opened("--assets", tmp_path / "report-files")
    page = found.page
    page.locator("tr.row .toggle").first.click()
    page.wait_for_selector(".passage")
    loaded = sorted(url.rpartition("/")[2] for url in found.requests if url.startswith("file:"))
    assert loaded == ["i0.js", "q0.js", "report.html", "t0.js"]
    assert found.errors == []


def test_one_file_alone_has_no_outcomes(browser, run_folder, tmp_path):
    path = tmp_path / "one.html"
    assert run(["report", str(run_folder / "0" / "test.answered.jsonl"), "-o", str(path)]) == 0
    context = browser.new_context()
    found = Opened(context.new_page(), path.as_uri())
    assert found.page.locator("h1").inner_text() == "test: EM is 66.7 %."
    assert found.page.locator("#head th").count() == 2
    found.page.locator("tr.row .toggle").nth(1).click()
    found.page.wait_for_selector(".passage")
    assert found.errors == []
    context.close()

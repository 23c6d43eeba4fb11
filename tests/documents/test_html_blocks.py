"""Which text of an HTML page is read, and where its paragraphs and words end: as browsers show it."""

from __future__ import annotations

import pytest

from fidtools.documents.html_files import read_html

pytest.importorskip("lxml")


def texts(path, page):
    (path / "a.html").write_text(page, encoding="utf-8")
    return [block.text for block in read_html(path / "a.html").blocks]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p><big>A</big>pple, <strike>o</strike>ld <acronym>UN</acronym>ESCO</p>", ["Apple, old UNESCO"]),
        ("<p>10<nobr>km</nobr> of <font color=red>r</font>ed, Coca<wbr>Cola</p>", ["10km of red, CocaCola"]),
        ("<p>wo<!-- comment -->rd and <my-word>cust</my-word>om</p>", ["word and custom"]),
        ("<p>wo<script>x</script>rd, one<style>p {}</style>s</p>", ["word, ones"]),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</ruby>です</p>", ["漢字です"]),
        ("<p>one<img src=a>two<svg><text>icon</text></svg>three</p>", ["one two three"]),
        ("<p>one<button>two</button><input value=x>three<select><option>no</select>four</p>", ["one two three four"]),
        ("<p>E <math><mi>m</mi><annotation>\\tex</annotation></math>x</p>", ["E m x"]),
        ("<p>one<br>two<noscript>no</noscript></p><template>no</template>", ["one", "two"]),
        ("one<div>two</div>three<textarea>four</textarea>", ["one", "two", "three four"]),
        ("<dl><dt>one<dd>two</dl><details><summary>three</summary>four</details>", ["one", "two", "three", "four"]),
    ],
)
def test_where_words_and_paragraphs_end(page, expected, tmp_path):
    assert texts(tmp_path, page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>one</p><p hidden>no</p><div hidden=''><h1>no</h1>no</div>two", ["one", "two"]),
        ("<p>one<span hidden>no</span>s <b hidden=until-found>two</b></p>", ["ones two"]),
        ("<html hidden><body hidden><main hidden>one</main></body></html>", ["one"]),
    ],
)
def test_hidden_elements_are_left_out(page, expected, tmp_path):
    assert texts(tmp_path, page) == expected


def test_a_form_around_a_whole_page_is_read(tmp_path):
    page = "<form><nav>menu</nav><h1>One</h1>two <select><option>no</select></form><form><label>no</label></form>"
    assert texts(tmp_path, page) == ["One", "two"]


def test_an_empty_main_element_does_not_hide_the_page(tmp_path):
    assert texts(tmp_path, "<main id=root></main><div>one</div>") == ["one"]


def test_the_title_of_a_picture_is_not_that_of_the_page(tmp_path):
    assert texts(tmp_path, "<svg><title>icon</title></svg><h1>Real</h1>") == ["Real"]
    assert read_html(tmp_path / "a.html").title == "Real"


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("\n<p>two</p>three", ["two", "three"]),
        ("two<b>s</b></html></html>\n<p>three", ["twos", "three"]),
        ("<!DOCTYPE html><html><head><title>no</title></head><body>two</body></html>three", ["two", "three"]),
    ],
)
def test_what_follows_the_end_of_a_page_belongs_to_it(after, expected, tmp_path):
    assert texts(tmp_path, f"<html><head><title>T</title></head><body>one</body></html>{after}") == ["one", *expected]
    assert read_html(tmp_path / "a.html").title == "T"

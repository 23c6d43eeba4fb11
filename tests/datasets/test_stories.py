from __future__ import annotations

import gzip

import pytest

from fidtools.datasets.stories import between, decoded, story_text, visible_text

BOOK = """\ufeffThe Project Gutenberg EBook of A Tale, by A. Author

Title: A Tale

*** START OF THIS PROJECT GUTENBERG EBOOK A TALE ***

Produced by Nick Somebody and the Online
Distributed Proofreading Team

A TALE

It was a _very_ dark night, said the ship _Bounty's_ captain.
The variable some_long_name stays.

End of the Project Gutenberg EBook of A Tale, by A. Author

*** END OF THIS PROJECT GUTENBERG EBOOK A TALE ***

This website includes information about how to subscribe to our email
newsletter to hear about new eBooks.
"""
SCRIPT = """<!DOCTYPE html><html><head><title>Crank Script</title>
<script>if (window != top) top.location = location;</script>
<style>p {color: red}</style></head><body><table><tr><td>Search IMSDb</td></tr></table>
<td class="scrtext"><pre><b>                    CRANK
</b>          Written by

 M. Neveldine &amp; B. Taylor

<b>INT. ROOM - DAY
</b>A man wakes up. He cannot move. The tape has been playing for some time now and he watches it.

                 CUT TO SOUNDTRACK.
</pre></td><p>Back to IMSDb</p></body></html>"""


def test_a_book_loses_the_licence_the_credits_and_the_italics():
    text, found = story_text(BOOK.encode(), "Produced by Nick", "new eBooks .")
    assert found
    assert text == (
        "A TALE\n\nIt was a very dark night, said the ship Bounty's captain.\nThe variable some_long_name stays."
    )


def test_a_script_is_taken_out_of_its_page_and_cut_at_its_markers():
    text, found = story_text(SCRIPT.encode(), "CRANK Written by", "TO SOUNDTRACK .")
    assert found
    assert text.split()[:7] == ["CRANK", "Written", "by", "M.", "Neveldine", "&", "B."]
    assert text.endswith("CUT TO SOUNDTRACK.")


def test_a_marker_that_is_not_there_keeps_that_side_whole():
    assert story_text(b"one two three four", "two three", "no such end") == ("two three four", False)
    assert story_text(b"one two three four", "no such start", "two") == ("one two", False)


def test_markers_are_found_in_spite_of_spaces_and_quotation_marks():
    assert between("He said: “Go  home,\nnow.” Then.", "`` Go home", ", now . ''") == ("“Go  home,\nnow.”", True)


def test_the_last_end_marker_counts():
    assert between("start a end b end c", "start", "end") == ("start a end b end", True)


def test_an_end_before_the_start_is_none():
    assert between("THE END start middle", "start", "THE END") == ("start middle", False)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (gzip.compress("naïve\r\ncafé".encode(), mtime=0), "naïve\ncafé"),
        ("“café”".encode("cp1252"), "“café”"),
        (b"\xef\xbb\xbfplain", "plain"),
        (gzip.compress(b"cut short" * 100, mtime=0)[:-20], ""),
    ],
)
def test_bytes_become_text_whatever_they_are(raw, text):
    assert decoded(raw) == text


def test_a_page_that_is_not_preformatted_gives_its_paragraphs():
    page = (
        "<html><head><title>no</title></head><body><p>One &amp; two.</p><p>Three<br>four.</p><pre>x</pre></body></html>"
    )
    assert visible_text(page).split() == ["One", "&", "two.", "Three", "four.", "x"]


def test_what_the_sites_of_narrativeqa_sent(shared):
    folder = shared("data/formats/hf-dummy/narrativeqa-default")
    raw = {path.name.split("_")[-1][:4]: path.read_bytes() for path in folder.glob("*.content")}
    percival, _ = story_text(raw["0029"], "Produced by Nick", "new eBooks .")
    fighter, _ = story_text(raw["0150"], "THE FIGHTER Written", "in Lowell ...")
    assert percival.startswith("Title: Percival Keene\n\nPERCIVAL KEENE, BY CAPTAIN FREDERICK MARRYAT.")
    assert fighter.split()[:6] == ["THE", "FIGHTER", "Written", "by", "Scott", "Silver,"]


def test_a_compressed_story_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr("fidtools.datasets.stories.MAX_STORY_BYTES", 1000)
    assert decoded(gzip.compress(b"a" * 100_000)) == "a" * 1000

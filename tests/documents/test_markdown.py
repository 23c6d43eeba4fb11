"""What of a Markdown file is its title, and what no page shows."""

from __future__ import annotations

import pytest

from fidtools.documents.markdown import split_title


@pytest.mark.parametrize(
    ("text", "title", "rest"),
    [
        ("---\n# made by hand\n\ntitle: Mills\n---\nText", "Mills", "Text"),
        ("---\ntitle: Mills\n...\nText", "Mills", "Text"),
        ("---\ntitle: >\n  Old\n  mills\ndate: 2020\n---\nText", "Old mills", "Text"),
        ("---\ntitle: |-\n  Mills\n---\nText", "Mills", "Text"),
        ('---\ntitle: "The \\"old\\" mills" # a note\n---\nText', 'The "old" mills', "Text"),
        ("---\ntitle: 'The miller''s' # a note\n---\nText", "The miller's", "Text"),
        ("---\ntitle: C# and mills # a note\n---\nText", "C# and mills", "Text"),
        ("---\ntitle: null\n---\nText", "", "Text"),
        ('+++\ntitle = "Mills"\n+++\nText', "Mills", "Text"),
        ("<!-- SPDX-License-Identifier: MIT -->\n<!-- a\n\nb -->\n# Mills\nText", "Mills", "Text"),
        ("---\ntitle: Old\n---\n<!-- toc -->\n\n# Mills\nText", "Mills", "Text"),
        ("---\nTwo words and no field\n---\nText", "", "---\nTwo words and no field\n---\nText"),
        ("---\n# Not a field\n---\nText", "", "---\n# Not a field\n---\nText"),
        ("Text <!-- of a line -->\n", "", "Text <!-- of a line -->\n"),
    ],
)
def test_title_and_text(text, title, rest):
    assert (split_title(text)[0], split_title(text)[1].lstrip("\n")) == (title, rest)

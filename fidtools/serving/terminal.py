"""A found question in the terminal: passages with scores, words in context, and attention as shading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from fidtools.console import console as new_console
from fidtools.data.records import Passage
from fidtools.errors import printable
from fidtools.serving.highlights import Highlighter, Part
from fidtools.serving.worker import Found

if TYPE_CHECKING:
    from rich.console import Console

CONTEXT_LINES = 4
MARGIN = 8  # indentation, and room for dots
JOINERS = "\u200c\u200d"  # of scripts and emoji: they change how letters look, and nothing else
VISIBLE = 0.2  # of the brightest shade
COLD, HOT = (40, 30, 20), (176, 82, 15)  # RGB behind light text


def drawn(found: Found, *, full: bool = False, console: Console | None = None) -> str:
    """A question's answer and passages, with the escape sequences that suit the console (default: standard output's).

    `full` shows whole passages, else the lines around the marked words.
    """
    out = console or new_console()
    with out.capture() as shown:
        _draw(found, full, out)
    return shown.get()


def _draw(found: Found, full: bool, out: Console) -> None:
    question, reading = found.question, found.reading
    highlighter = Highlighter(question.question, reading.answer if reading else None)
    if reading is not None:
        answer = Text(one_line(reading.answer) or "(no answer)", style="bold")
        out.print(Text.assemble("Answer: ", answer, (f"  (probability {reading.probability:.2f})", "dim")))
        out.print()
    if not question.ctxs:
        out.print("No passage was found.")
    tokens = reading.attention.tokens if reading and reading.attention else []
    brightest = max((token.share for passage in tokens for token in passage), default=0.0)
    for number, passage in enumerate(question.ctxs or []):
        out.print(_head(number, passage, highlighter))
        out.print(_facts(found, number, passage))
        parts = highlighter.parts(passage.text, tokens[number] if number < len(tokens) else ())
        lines = list(_styled(parts, brightest).wrap(out, max(20, out.width - MARGIN)))
        for line in lines if full else _around_marks(lines):
            out.print(Text("    ") + line, no_wrap=True, crop=False)
        out.print()


def one_line(text: str) -> str:
    """The text in one line, with control characters shown instead of obeyed: "\\x1b[2J" clears no screen."""
    return printable("".join(" " if character.isspace() else character for character in text), keep=JOINERS)


def _head(number: int, passage: Passage, highlighter: Highlighter) -> Text:
    title = _styled(highlighter.parts(passage.title or passage.id or ""), 0.0)
    title.stylize("bold")
    identifier = f"  {one_line(str(passage.id))}" if passage.title and passage.id is not None else ""
    return Text.assemble((f"{number + 1:>3} ", "dim"), title, (identifier, "dim"))


def _facts(found: Found, number: int, passage: Passage) -> Text:
    """The scores, and what the reader made of the passage."""
    facts = [Text(f"{one_line(name)} {value:.4g}", style="dim") for name, value in _scores(passage).items()]
    if found.reading is not None:
        if found.reading.contained_in(passage):
            facts.append(Text("has the answer", style="green"))
        share = found.reading.share(number)
        facts.append(Text("not read" if share is None else f"{share:.0%} of the attention", style="yellow"))
    return Text("    ") + Text(" · ").join(facts)


def _scores(passage: Passage) -> dict[str, float]:
    """The score that the list is sorted by, first."""
    first = {name: value for name, value in passage.scores.items() if value == passage.score}
    return first | passage.scores


def _styled(parts: Iterable[Part], brightest: float) -> Text:
    text = Text()
    for part in parts:
        text.append(one_line(part.text), _style(part, brightest))
    return text


def _style(part: Part, brightest: float) -> Style:
    style = {"": Style(), "word": Style(underline=True), "answer": Style(bold=True, reverse=True)}[part.mark]
    heat = (part.share / brightest) ** 0.5 if part.share and brightest else 0.0
    if heat < VISIBLE:
        return style
    red, green, blue = (round(cold + heat * (hot - cold)) for cold, hot in zip(COLD, HOT, strict=True))
    shade = Style(color="white", bgcolor=f"rgb({red},{green},{blue})")
    return (Style(bold=True, underline=True) if part.mark == "answer" else style) + shade


def _around_marks(lines: Sequence[Text]) -> list[Text]:
    """At most `CONTEXT_LINES` consecutive lines, those with the most marks; the first ones if there is none."""
    if len(lines) <= CONTEXT_LINES:
        return list(lines)
    marks = [sum(_is_marked(span.style) for span in line.spans) for line in lines]
    starts = range(len(lines) - CONTEXT_LINES + 1)
    best = max(starts, key=lambda start: sum(marks[start : start + CONTEXT_LINES]))
    shown = [line.copy() for line in lines[best : best + CONTEXT_LINES]]
    if best:
        shown[0] = Text("… ") + shown[0]
    if best + CONTEXT_LINES < len(lines):
        shown[-1].rstrip()
        shown[-1].append(" …")
    return shown


def _is_marked(style: str | Style) -> bool:
    return isinstance(style, Style) and bool(style.underline or style.reverse)

"""Tokenisation beside the computation: the same results in the same order, errors in their place, no hanging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fidtools.cli import run
from fidtools.reader.ahead import overlapped
from fidtools.reader.prompt import ReaderSettings, answer_text, input_tokens, target_tokens
from tests.models import word_tokenizer


def test_work_is_done_in_order_by_one_other_thread() -> None:
    found = list(overlapped(range(20), lambda i: (i, threading.get_ident()), depth=3))
    assert [i for i, _ in found] == list(range(20))
    (worker,) = {thread for _, thread in found}
    assert worker != threading.get_ident()


def test_the_next_item_is_worked_on_while_one_is_held() -> None:
    begun = [threading.Event() for _ in range(3)]
    for i in overlapped(range(3), lambda i: begun[i].set() or i, depth=1):
        assert all(event.wait(10) for event in begun[: i + 2])


@pytest.mark.parametrize("depth", [1, 4])
def test_no_more_is_drawn_than_the_depth(depth: int) -> None:
    drawn = []
    numbers = overlapped((drawn.append(i) or i for i in range(10)), lambda i: i, depth)
    for i in numbers:
        assert len(drawn) == min(i + 1 + depth, 10)


def test_an_error_of_the_work_comes_in_its_place() -> None:
    results = overlapped([4, 2, 0, 1], lambda i: 4 // i, depth=2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_comes_behind_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("bad line")

    results = overlapped(items(), lambda i: -i, depth=5)
    assert [next(results), next(results)] == [-1, -2]
    with pytest.raises(ValueError, match="bad line"):
        next(results)


def test_an_interruption_is_not_put_off() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(overlapped(items(), lambda i: i, depth=5))


def test_the_thread_ends_with_the_iterator() -> None:
    before = threading.active_count()
    results = overlapped(range(100), lambda i: i, depth=2)
    next(results)
    assert threading.active_count() == before + 1
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_threads_take_turns_with_a_tokenizer() -> None:
    """It keeps its truncation between calls: targets are not cut, inputs are."""
    tokenizer, settings = word_tokenizer(), ReaderSettings(text_maxlength=3)
    text = " ".join(f"w{i}" for i in range(30))
    whole = target_tokens(tokenizer, text, settings, 1)

    def cut(_: int) -> list[list[int]]:
        return input_tokens(tokenizer, [text] * 8, settings)

    with ThreadPoolExecutor(1) as thread:
        futures = [thread.submit(cut, i) for i in range(200)]
        for _ in range(200):
            assert target_tokens(tokenizer, text, settings, 1) == whole
            assert answer_text(tokenizer, whole) == text
        assert all(future.result() == [whole[:3]] * 8 for future in futures)


def test_what_is_before_a_bad_question_is_written(
    reader_folder: Path, question_file: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The first group of sixteen reads well; the question without passages is in the second."""
    good = question_file.read_text() * 5
    data = tmp_path / "data.jsonl"
    data.write_text(good + '{"id": "bad", "question": "who", "answers": ["x"]}\n')
    for command in ("read", "score-attn", "score-likelihood"):
        assert run([command, str(data), "--reader", str(reader_folder), "-q"]) == 1
        out, err = capfdbinary.readouterr()
        assert [json.loads(line)["id"] for line in out.splitlines()] == [f"q{i % 5}" for i in range(16)]
        assert err.decode().startswith(f"fidtools: {data}:26: field 'ctxs': question without passages (got bad)")


@pytest.mark.slow
def test_an_interrupt_ends_a_command_that_waits_for_its_input(reader_folder: Path, question_file: Path) -> None:
    """Ctrl-C while standard input is open: one word, no hanging."""
    command = [str(Path(sys.executable).with_name("fidtools")), "score-attn", "--reader", str(reader_folder), "-q"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(command, **pipes, env=environment) as process:  # type: ignore[call-overload]
        process.stdin.write(question_file.read_bytes() * 8)
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == b"fidtools: interrupted\n"
        assert process.wait(30) == 130

"""Tokenization beside the model: tokenizers shared by threads, bad questions in their place, no hanging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fidtools.cli import run
from fidtools.reader.prompt import ReaderSettings, answer_text, input_tokens, target_tokens
from tests.models import word_tokenizer


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

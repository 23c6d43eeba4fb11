"""One `Compute` per process: the precision that was chosen, why, and autocast in it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch

from fidtools.compute.device import Compute
from fidtools.compute.precision import Precision, choose_dtype, eager_attention_is_faster, use_eager_attention


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("float32", torch.float32)])
def test_a_requested_precision_is_taken_and_logged_once(
    precision: Precision, dtype: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    Compute.choose.cache_clear()  # type: ignore[attr-defined]
    with caplog.at_level(logging.INFO, "fidtools"):
        first, second = Compute.choose(precision), Compute.choose(precision)
    assert first is second
    assert (first.dtype, first.reason) == (dtype, "as requested")
    assert caplog.messages == [f"precision: {precision} on {first.device.type} (as requested)"]


def test_autocast_rounds_products_in_bf16_only() -> None:
    cpu = torch.device("cpu")
    a = torch.tensor([[1 + 2**-10]])
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        with Compute(cpu, dtype, "").autocast():
            found[dtype] = (a @ a).dtype
    assert found == {torch.float32: torch.float32, torch.bfloat16: torch.bfloat16}


def test_float32_inside_bf16_leaves_the_outer_autocast_in_force() -> None:
    """A model with the library's default precision, trained by the loop in bf16."""
    cpu = torch.device("cpu")
    a = torch.ones(1, 1)
    with Compute(cpu, torch.bfloat16, "").autocast():
        with Compute(cpu, torch.float32, "").autocast():
            inner = a @ a
        outer = a @ a
    assert inner.dtype == outer.dtype == torch.bfloat16
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", torch.bfloat16, True),
        ("cpu", torch.float32, False),
        ("cuda", torch.bfloat16, False),
        ("cuda", torch.float32, False),
    ],
)
def test_eager_attention_is_for_bf16_on_a_cpu(device: str, dtype: torch.dtype, expected: bool) -> None:
    assert eager_attention_is_faster(torch.device(device), dtype) is expected
    assert Compute(torch.device(device), dtype, "").eager_attention_is_faster is expected


def test_eager_attention_replaces_only_sdpa() -> None:
    from transformers import BertConfig, BertModel

    config = {"vocab_size": 9, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    models = [BertModel(BertConfig(**config, intermediate_size=4)) for _ in range(2)]
    models[1].set_attn_implementation("flex_attention")
    use_eager_attention(torch.nn.ModuleList(models))
    assert [m.config._attn_implementation for m in models] == ["eager", "flex_attention"]


def test_the_list_of_precisions_needs_no_torch() -> None:
    code = "import sys, fidtools.compute.precision as p; print(*p.PRECISIONS, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "auto bf16 float32 False\n"


@pytest.mark.parametrize(
    ("processor", "units", "expected"),
    [
        ("AMD EPYC", ["avx512_bf16"], torch.bfloat16),
        ("Intel Xeon", ["amx_bf16", "avx512_bf16"], torch.bfloat16),
        ("Intel Xeon", ["avx512_bf16"], torch.float32),  # half the rate of float32
        ("AMD EPYC", [], torch.float32),
    ],
)
def test_auto_is_bf16_where_it_is_the_faster_one(
    processor: str, units: list[str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = {"cpu_name": processor, "avx512_f": True, **dict.fromkeys(units, True)}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    dtype, reason = choose_dtype("auto", torch.device("cpu"))
    assert dtype is expected
    assert reason.startswith("the CPU")
    assert choose_dtype("bf16", torch.device("cpu"))[0] is torch.bfloat16

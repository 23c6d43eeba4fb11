"""The choice between bf16 and float32, and what follows from it. Importing this file does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "bf16", "float32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def choose_dtype(precision: Precision, device: torch.device) -> tuple[torch.dtype, str]:
    """The type of matrix products, and the reason for it. `auto` is bfloat16 where the device has units for it."""
    import torch

    has_units, reason = bf16_units(device)
    bf16 = precision == "bf16" or (precision == "auto" and has_units)
    return torch.bfloat16 if bf16 else torch.float32, reason if precision == "auto" else "as requested"


def bf16_units(device: torch.device) -> tuple[bool, str]:
    """Whether the device multiplies bf16 faster than float32, and the same in words."""
    import torch

    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return has, "the GPU has bf16 units" if has else "the GPU has no bf16 units, and T5 overflows in fp16"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
        return has, "the CPU has bf16 units" if has else "the CPU has no bf16 units"
    return False, f"bf16 is untested on {device.type}"


def eager_attention_is_faster(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether attention by plain matrix products beats PyTorch's fused attention (SDPA): in bf16 on a CPU.

    There the fused one takes longer forward (benchmarks/reader.md) and two to ten times as long backward
    (benchmarks/retriever.md).
    """
    import torch

    return device.type == "cpu" and dtype == torch.bfloat16


def use_eager_attention(module: torch.nn.Module) -> None:
    """Switch the `transformers` models inside `module` from SDPA to eager attention."""
    from transformers import PreTrainedModel

    for model in module.modules():
        if isinstance(model, PreTrainedModel) and model.config._attn_implementation == "sdpa":
            model.set_attn_implementation("eager")

"""The choice between bf16 and float32, and what follows from it. Importing this file does not import torch."""

from __future__ import annotations

from collections.abc import Collection
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
        units = {name for name in ("amx_bf16", "avx512_bf16") if capabilities.get(name)}
        if not units:
            return False, "the CPU has no bf16 units"
        faster = multiplies_bf16_faster(str(capabilities.get("cpu_name", "")), units)
        return faster, "the CPU has bf16 units" if faster else "the CPU's bf16 units are slower than float32"
    return False, f"bf16 is untested on {device.type}"


def multiplies_bf16_faster(processor: str, units: Collection[str]) -> bool:
    """Whether a processor with these units multiplies bf16 faster than float32.

    Intel's do with AMX only. Their AVX-512 multiplies bf16 at half the rate of float32 (measured on a Xeon of the fifth
    generation whose AMX was hidden from its virtual machine); AMD's does at twice the rate.
    """
    return "amx_bf16" in units or ("avx512_bf16" in units and not processor.startswith("Intel"))


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

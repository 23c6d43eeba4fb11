"""What is said when a model cannot be loaded."""

from __future__ import annotations

import pytest

from fidtools.compute.hub import loading
from fidtools.errors import FidtoolsError


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("unable to mmap 90868376 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    ],
)
def test_memory_that_runs_out_while_a_model_loads_is_no_matter_of_the_network(error: Exception) -> None:
    with pytest.raises(FidtoolsError) as caught, loading("minilm"):
        raise error
    said = "minilm: cannot load the model: not enough memory"
    hint = "end other programs, raise the limit (ulimit -v), or give a smaller model"
    assert (caught.value.message, caught.value.hint) == (said, hint)

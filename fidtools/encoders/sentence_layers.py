"""Layers after pooling, those of sentence-transformers: vectors (n, d) in, vectors (n, d') out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

ACTIVATIONS = {
    f"torch.nn.modules.{place}.{name}": getattr(nn, name)
    for place, names in (
        ("linear", ("Identity",)),
        (
            "activation",
            ("ELU", "GELU", "Hardswish", "LeakyReLU", "Mish", "ReLU", "ReLU6", "SELU", "Sigmoid", "SiLU", "Tanh"),
        ),
    )
    for name in names
}
"""Functions that a layer may name, as sentence-transformers writes them. No other class is looked up."""
TANH = "torch.nn.modules.activation.Tanh"
"""What a dense layer applies where its configuration names nothing."""
ON_VECTORS = "sentence_embedding"


def activation_name(config: dict[str, Any]) -> str:
    """The activation function that a dense layer's configuration names; it need not be one of ACTIVATIONS."""
    return str(config.get("activation_function", TANH))


class Layer(nn.Module):
    """One layer. Its weights have the names that sentence-transformers gives them; `config` is its `config.json`."""

    kind: str
    config: dict[str, Any]
    dim: int | None = None
    """The dimension of the vectors that come out; None where it is that of those that go in."""


class Dense(Layer):
    """A linear map, an activation function, and optionally a residual connection."""

    kind = "Dense"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        before, self.dim = config["in_features"], config["out_features"]
        self.linear = nn.Linear(before, self.dim, bias=config.get("bias", True))
        self.activation: nn.Module = ACTIVATIONS[activation_name(config)]()
        self.has_residual = bool(config.get("use_residual"))
        if self.has_residual and before != self.dim:
            self.residual = nn.Linear(before, self.dim, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, in_features) -> (n, out_features)."""
        mapped: Tensor = self.activation(self.linear(vectors))
        if not self.has_residual:
            return mapped
        return mapped + (self.residual(vectors) if hasattr(self, "residual") else vectors)


class LayerNorm(Layer):
    """A layer normalization of the vectors."""

    kind = "LayerNorm"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config["dimension"])

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) -> (n, d)."""
        normed: Tensor = self.norm(vectors)
        return normed


class Dropout(Layer):
    """Dropout of the vectors' components while training."""

    kind = "Dropout"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.get("dropout", 0.2))

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) -> (n, d)."""
        dropped: Tensor = self.dropout(vectors)
        return dropped


class Normalize(Layer):
    """Unit length in the middle of the layers; at their end it is a setting of the retriever."""

    kind = "Normalize"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) -> (n, d)."""
        return nn.functional.normalize(vectors, dim=-1)


LAYERS: dict[str, type[Layer]] = {layer.kind: layer for layer in (Dense, LayerNorm, Dropout, Normalize)}
"""The layers by the name of their module in sentence-transformers."""


class Head(nn.ModuleList):
    """The layers between pooling and the vectors, in order; usually none."""

    def __init__(self, layers: Iterable[Layer] = ()) -> None:
        super().__init__(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return [layer for layer in self if isinstance(layer, Layer)]

    def forward(self, vectors: Tensor) -> Tensor:
        """Pooled vectors (n, d) -> (n, d'), float32 under autocast too."""
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors.float()

    def dim_of(self, pooled: int) -> int:
        """The dimension of the vectors that come out for pooled vectors of dimension `pooled`."""
        dims = [pooled, *(layer.dim for layer in self.layers)]
        return next(dim for dim in reversed(dims) if isinstance(dim, int))

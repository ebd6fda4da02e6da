"""The options of the first weights; free of torch, so that a sweep file is checked within a second.

A layer's fan in is how many inputs each of its outputs reads, its fan out how many outputs each input feeds.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Positive


class DefaultInitialisation(Config):
    """Each layer's own: uniform in +-1/sqrt(fan in), biases too (LeCun et al. 1998 in torch's variant); word vectors in +-0.1."""

    kind: Literal["default"] = "default"


class ScaledInitialisation(Config):
    """What those with independent weights share. Word vectors, the softmax and normalisers keep theirs; biases start at 0."""

    distribution: Literal["uniform", "normal"] = "uniform"
    """Of the weights, with mean 0 and the same variance either way."""

    def std(self, fan_in: float, fan_out: float) -> float:
        """The standard deviation of the weights of a layer with these fans."""
        raise NotImplementedError


class UniformInitialisation(ScaledInitialisation):
    """Uniform in +-bound, whatever the layer's size, as in Sutskever et al. 2014."""

    kind: Literal["uniform"] = "uniform"
    distribution: Literal["uniform"] = "uniform"
    bound: Positive = 0.1

    def std(self, fan_in: float, fan_out: float) -> float:
        return self.bound / math.sqrt(3.0)


class XavierInitialisation(ScaledInitialisation):
    """Variance gain^2 2 / (fan in + fan out) (Glorot & Bengio 2010, eq. 16): for tanh and linear layers."""

    kind: Literal["xavier"] = "xavier"
    gain: Positive = 1.0

    def std(self, fan_in: float, fan_out: float) -> float:
        return self.gain * math.sqrt(2.0 / (fan_in + fan_out))


class HeInitialisation(ScaledInitialisation):
    """Variance 2 / fan in (He et al. 2015, eq. 10), or 2 / fan out (eq. 14): for ReLU."""

    kind: Literal["he"] = "he"
    distribution: Literal["uniform", "normal"] = "normal"
    """Of the weights, with mean 0 and the same variance either way."""
    fan: Literal["in", "out"] = "in"
    """What keeps its size through the layers: activations forwards, or gradients backwards."""

    def std(self, fan_in: float, fan_out: float) -> float:
        return math.sqrt(2.0 / (fan_in if self.fan == "in" else fan_out))


class OrthogonalInitialisation(Config):
    """Orthonormal rows, or columns where they are fewer, times the gain (Saxe et al. 2014); a gate at a time in recurrent layers.

    Word vectors, the softmax and normalisers keep theirs; biases start at 0.
    """

    kind: Literal["orthogonal"] = "orthogonal"
    gain: Positive = 1.0


AnyInitialisation = Annotated[
    DefaultInitialisation | UniformInitialisation | XavierInitialisation | HeInitialisation | OrthogonalInitialisation,
    Field(discriminator="kind"),
]
"""The family's table."""

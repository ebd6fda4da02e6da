"""What every posterior and every prior offers to the model.

Shapes: B examples, K samples an example, Z numbers of a code, E numbers of its noise, S features of the summary,
C pseudo-inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from vae_core.latent.space import Euclidean, Space
from vae_core.moment import Moment


@dataclass(frozen=True)
class Points:
    """Codes at which a loss is taken, and what each counts in an expectation under the posterior."""

    z: Tensor
    """(K, B, Z)."""
    weight: Tensor | None = None
    """(K, B), its sum over K is 1; None: each counts 1 / K."""

    def expect(self, values: Tensor) -> Tensor:
        """E_q of a function's values at the points, (K, B) -> (B,)."""
        return values.mean(0) if self.weight is None else (self.weight * values).sum(0)


class Posterior(ABC):
    """q(z|x) of B examples: a frozen dataclass whose tensors have the examples first, with options beside them.

    A sample is a function of standard normal noise and of nothing else, so that an example's noise can belong to it whatever
    batch it stands in.
    """

    @abstractmethod
    def expectation(self) -> Tensor:
        """E_q z of each example, (B, Z)."""

    def mode(self) -> Tensor:
        """The one code that stands for each example, (B, Z)."""
        return self.expectation()

    @property
    def unit(self) -> float:
        """Standard deviation of a number of a code under the family's reference prior."""
        return 1.0

    @abstractmethod
    def sample(self, noise: Tensor) -> Tensor:
        """Samples as they are scored: standard normal (K, B, E) -> (K, B, Z)."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (K, B, Z) -> (K, B)."""

    @abstractmethod
    def pairwise_log_prob(self, z: Tensor) -> Tensor:
        """log q(z_i|x_j) in nats, (M, Z) -> (M, B)."""

    @abstractmethod
    def kl_per_dimension(self) -> Tensor:
        """KL to the family's reference prior in nats, closed form, by dimension or by independent part: (B, parts)."""

    def kl(self) -> Tensor:
        """KL to the family's reference prior in nats, (B,)."""
        return self.kl_per_dimension().sum(-1)

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """E."""

    def noise(self, samples: int, generator: Generator) -> Tensor:
        """What so many samples are a function of: standard normal, (K, B, E)."""
        like = next(iter(self.tensors().values()))
        shape = (samples, len(like), self.noise_size)
        return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)

    def draw(self, samples: int, generator: Generator) -> Tensor:
        """``samples`` samples an example, with a gradient to the parameters where the family has one: (K, B, Z)."""
        return self.sample(self.noise(samples, generator))

    def points(self, samples: int, generator: Generator, moment: Moment) -> Points:
        """The codes that training looks at; K is ``samples`` unless the family enumerates."""
        return Points(self.draw(samples, generator))

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same family, every tensor changed: to another device, to a part of the examples."""
        tensors: dict[str, Any] = {name: change(value) for name, value in self.tensors().items()}
        return replace(self, **tensors)  # type: ignore[type-var]  # each member is a dataclass

    def tensors(self) -> dict[str, Tensor]:
        """The parameters by name, examples first."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # as above
        return {name: value for name, value in named.items() if isinstance(value, Tensor)}

    def tangent(self, slopes: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradients by the parameters, by name and shaped as they are, less what no change within the family can follow."""
        return slopes

    def detach(self) -> Self:
        """The same distributions, their parameters held fixed."""
        return self.map(Tensor.detach)

    @staticmethod
    def cat(posteriors: list[Posterior]) -> Posterior:
        """Joins posteriors of one family, one batch after the other."""
        columns = [posterior.tensors() for posterior in posteriors]
        joined: dict[str, Any] = {name: torch.cat([column[name] for column in columns]) for name in columns[0]}
        result: Posterior = replace(posteriors[0], **joined)  # type: ignore[type-var]  # each member is a dataclass
        return result


class PriorDensity(ABC):
    """p(z), or the p(z|y) of each of B examples."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (K, B, Z) -> (K, B)."""

    @abstractmethod
    def sample(self, count: int, generator: Generator) -> Tensor:
        """Codes, (count, Z); with p(z|y), ``count`` is B and each is drawn from its own. The generator is on the CPU."""

    def kl(self, posterior: Posterior) -> Tensor | None:
        """KL(q || p) in nats in closed form, (B, parts); None where there is none."""
        return None


class PosteriorLayer(nn.Module, ABC):
    """Reads the posterior's parameters off the encoder's summary."""

    size: int
    """Z."""
    noise_size: int
    """E."""
    reference: PriorDensity
    """The family's own prior, to which its KL has a closed form."""

    @property
    def space(self) -> Space:
        """Where the codes live."""
        return Euclidean(self.size)

    @abstractmethod
    def forward(self, summary: Tensor, training: bool) -> Posterior:
        """(B, S) -> q(z|x); ``training`` says whether statistics of the batch may enter."""


class PseudoInputs(ABC):
    """Where learned inputs that stand in for examples live, I free numbers each, and how the model reads them.

    It registers none of the modules that it reads by: they are the model's own already.
    """

    size: int
    """I."""

    @abstractmethod
    def posterior(self, free: Tensor) -> Posterior:
        """The posterior of each as evaluation has it: (C, I) -> q(z|u)."""


@dataclass(frozen=True)
class PriorSizes:
    """What a prior is built from and the config cannot know."""

    layer: PosteriorLayer
    inputs: PseudoInputs
    generator: Generator
    """Draws the first weights."""
    labels: int = 0
    """How many labels the data have; 0: none."""


class Prior(nn.Module, ABC):
    """Makes the density that codes are weighed by; its parameters learn with the model's."""

    closed_form: bool
    """Whether its KL is computed exactly; else it is log q - log p, averaged over the samples that are drawn anyway."""
    labels: int = 0
    """How many labels it tells apart; 0: it asks for none."""

    @abstractmethod
    def given(self, labels: Tensor | None) -> PriorDensity:
        """The density under the parameters as they stand: p(z|y) of examples with these labels, (B,), or p(z) where the prior
        asks for none.
        """


def divergence(posterior: Posterior, prior: PriorDensity, points: Points) -> Tensor:
    """KL(q(z|x) || p(z)) in nats: closed form by part, (B, parts), or the points' estimate of it, (B, 1)."""
    closed = prior.kl(posterior)
    if closed is not None:
        return closed
    return points.expect(posterior.log_prob(points.z) - prior.log_prob(points.z)).unsqueeze(-1)

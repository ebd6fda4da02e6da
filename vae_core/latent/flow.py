"""A prior that is a normalising flow, of the library zuko.

Shapes: K samples an example, B examples, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import zuko  # switches argument checks of torch.distributions off, in the whole process; nothing here relies on them
from torch import Generator, Tensor

from vae_core.latent.config import FlowPrior
from vae_core.latent.interface import Prior, PriorDensity, PriorSizes

_FAMILIES: Mapping[str, Callable[..., zuko.flows.Flow]] = {"nsf": zuko.flows.NSF, "maf": zuko.flows.MAF}
"""By the names of the config."""


@dataclass(frozen=True)
class FlowDensity(PriorDensity):
    """log p(z) = log N(f(z); 0, I) + log |det df/dz|; its KL has no closed form."""

    flow: Any
    """zuko's distribution, under the parameters as they stand."""
    size: int
    like: Tensor
    """A parameter: where the flow computes, and in which precision."""

    def log_prob(self, z: Tensor) -> Tensor:
        log_density: Tensor = self.flow.log_prob(z)
        return log_density

    def sample(self, count: int, generator: Generator) -> Tensor:
        noise = torch.randn(count, self.size, generator=generator)
        codes: Tensor = self.flow.transform.inv(noise.to(self.like))  # zuko's own draws come from the global generator
        return codes


class Flow(Prior):
    """N(0, I) through learned invertible maps, each dimension's dependent on those before it.

    The maps are splines (Durkan et al. 2019) or affine (Papamakarios et al. 2017).
    """

    closed_form = False

    def __init__(self, config: FlowPrior, sizes: PriorSizes) -> None:
        super().__init__()
        self.size = sizes.layer.size
        seed = int(torch.randint(2**62, (), generator=sizes.generator))
        with torch.random.fork_rng(devices=()):  # zuko draws its first weights from the global generator of the CPU
            torch.default_generator.manual_seed(seed)
            family = _FAMILIES[config.family]
            self.flow = family(self.size, transforms=config.transforms, hidden_features=config.hidden)

    def given(self, labels: Tensor | None) -> FlowDensity:
        return FlowDensity(self.flow(), self.size, next(self.flow.parameters()))

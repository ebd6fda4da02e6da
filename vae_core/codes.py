"""The codes of a split: what the encoder makes of each example, without the decoder.

Shapes: n examples of the split, N of them chosen, B examples a batch, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vae_core.latent.interface import Points, Posterior, divergence
from vae_core.model import VAE, Data
from vae_core.seeding import generator_of_each, make_generator

Index = npt.NDArray[np.int64]


class CodedBatch(NamedTuple):
    """A batch and its codes, where the model is."""

    batch: Any
    posterior: Posterior
    z: Tensor
    """One sample an example, (1, B, Z)."""
    kl: Tensor
    """(B, parts)."""


@dataclass(frozen=True)
class Codes:
    """Of n examples, float64 on the CPU."""

    posterior: Posterior
    z: Tensor
    """One sample of each, (n, Z)."""
    kl: Tensor
    """(n, parts): by dimension or by independent part where the KL has a closed form, else the whole, (n, 1)."""

    @classmethod
    def join(cls, coded: Sequence[CodedBatch], plan: Sequence[Index]) -> Self:
        """The codes of batches of a whole split, in the split's own order."""
        posterior = Posterior.cat([batch.posterior for batch in coded])
        z, kl = (in_order(part, plan) for part in ([batch.z[0] for batch in coded], [batch.kl for batch in coded]))
        return cls(posterior.map(lambda parameter: in_order([parameter], plan)), z, kl)

    @property
    def rate(self) -> Tensor:
        """(n,)"""
        return self.kl.sum(1)

    @property
    def means(self) -> Tensor:
        """E_q z in the unit that activity is measured in, (n, Z)."""
        return self.posterior.expectation() / self.posterior.unit

    def spread(self, examples: int) -> Codes:
        """Of so many of them, or all, evenly spread."""
        n, taken = len(self.z), min(len(self.z), examples)
        chosen = torch.arange(taken) * n // taken
        return Codes(self.posterior.map(lambda parameter: parameter[chosen]), self.z[chosen], self.kl[chosen])


def encode_batches(model: VAE[Any], data: Data, split: str, plan: Sequence[Index], seed: int) -> Iterator[CodedBatch]:
    """The batches of a plan, one after the other; an example's noise and binarisation are its own, whatever the plan."""
    like = next(model.parameters())
    noise = torch.randn(len(data.splits[split]), model.noise_size, generator=make_generator(seed, "noise"))
    binarise = generator_of_each(seed, "binarise")
    for index in plan:
        batch: Any = data.batch(split, index, binarise).to(like.device)
        posterior = model.encode(batch)
        z = posterior.sample(noise[torch.from_numpy(index)].to(like).unsqueeze(0))
        yield CodedBatch(batch, posterior, z, divergence(posterior, model.prior_of(batch), Points(z)))


@torch.no_grad()
def encode_split(model: VAE[Any], data: Data, split: str, batch_size: int, seed: int) -> Codes:
    """The codes of a split, by the samples that ``evaluate`` scores under the same seed."""
    plan = data.plan(split, batch_size, None)
    return Codes.join(list(encode_batches(model, data, split, plan, seed)), plan)


def in_order(parts: Sequence[Tensor], plan: Sequence[Index]) -> Tensor:
    """Joins what there is of each batch of a plan in the split's own order, float64 on the CPU."""
    return torch.cat(list(parts)).cpu().double()[torch.from_numpy(np.concatenate(plan)).argsort()]

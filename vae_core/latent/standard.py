"""The prior without parameters: the posterior family's own reference."""

from __future__ import annotations

from torch import Tensor

from vae_core.latent.interface import Prior, PriorDensity


class Reference(Prior):
    """The reference density of a posterior's family, such as N(0, I)."""

    closed_form = True

    def __init__(self, density: PriorDensity) -> None:
        super().__init__()
        self.density = density

    def given(self, labels: Tensor | None) -> PriorDensity:
        return self.density

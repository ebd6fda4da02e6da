"""The options of posteriors and priors; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Count

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.latent.interface import PosteriorLayer, Prior, PriorSizes


class LatentConfig(Config):
    """One family of posteriors; ``build`` makes the layer that reads their parameters off the encoder's summary."""

    kind: str

    def build(self, features: int, generator: Generator) -> PosteriorLayer:
        """Makes the layer for summaries of this width; imports torch."""
        raise NotImplementedError


class GaussianLatent(LatentConfig):
    """Diagonal Gaussian posterior (Kingma & Welling 2014)."""

    kind: Literal["gaussian"] = "gaussian"
    size: Count = 32

    def build(self, features: int, generator: Generator) -> PosteriorLayer:
        from vae_core.latent.gaussian import GaussianPosterior

        return GaussianPosterior(features, self.size, generator)


AnyLatent = Annotated[GaussianLatent, Field()]
"""The family's table of posteriors."""


class PriorConfig(Config):
    """One family of priors; ``build`` makes it."""

    kind: str

    def build(self, sizes: PriorSizes) -> Prior:
        """Makes the prior for these sizes; imports torch."""
        raise NotImplementedError


class StandardPrior(PriorConfig):
    """What the posterior's family takes for no information: N(0, I) for a Gaussian (Kingma & Welling 2014)."""

    kind: Literal["standard"] = "standard"

    def build(self, sizes: PriorSizes) -> Prior:
        from vae_core.latent.standard import Reference

        return Reference(sizes.layer.reference)


AnyPrior = Annotated[StandardPrior, Field()]
"""The family's table of priors."""

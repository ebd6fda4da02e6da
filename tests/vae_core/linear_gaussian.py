"""A linear-Gaussian world with known answers: x = W z + b + e, z ~ p(z), e ~ N(0, s^2 I), so that every score has a closed form.

Encoder and decoder are linear maps of the real config, the data real ``ImageData``. With orthogonal columns of W the true
posterior is diagonal (probabilistic PCA: Tipping & Bishop 1999; Lucas et al. 2019).

Shapes: n examples, P pixels, Z latent dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_core.config import TrialConfig
from vae_core.data.images import ImageData, ImageSplit
from vae_core.latent.gaussian import GaussianPosterior
from vae_core.model import VAE, build_model
from vae_core.networks.mlp import MlpImageDecoder
from vae_core.seeding import make_generator

SHAPE, PIXELS, STD, EXAMPLES = (2, 4), 8, 0.5, 4000
SCALES = (1.5, 0.6, 0.1, 0.03)
"""Lengths of W's columns. Var_x E z is 1 - 1 / (1 + (length / s)^2): 0.90, 0.59, 0.038 and 0.0036, three of them active."""
SIZE = len(SCALES)


def config(changes: dict[str, Any] | None = None) -> TrialConfig:
    model = {
        "encoder": {"kind": "mlp", "hidden": []},
        "decoder": {"kind": "mlp", "hidden": []},
        "latent": {"kind": "gaussian", "size": SIZE},
        "likelihood": {"kind": "gaussian", "variance": STD**2},
    }
    plain: dict[str, Any] = {"data": {"kind": "digits", "pixels": "grey"}, "model": model} | (changes or {})
    plain["model"] = model | plain.pop("more", {})
    return TrialConfig.from_dict(plain)


@dataclass(frozen=True)
class Truth:
    """The distribution that the data are of, in double precision."""

    weight: Tensor
    """W, (P, Z), of orthogonal columns."""
    offset: Tensor
    """b, (P,)."""

    def precision(self) -> Tensor:
        """Of the posterior under N(0, I), (Z,), the same for every x."""
        return 1.0 + self.weight.square().sum(0) / STD**2

    def posterior(self, x: Tensor) -> Independent:
        mean = (x - self.offset) @ self.weight / STD**2 / self.precision()
        return Independent(Normal(mean, self.precision().rsqrt().expand_as(mean)), 1)

    def evidence(self, x: Tensor, mean: Tensor | None = None, variance: Tensor | None = None) -> Tensor:
        """log p(x), (n,), where z ~ N(mean, diag(variance)); N(0, I) without them."""
        spread = self.weight if variance is None else self.weight * variance.sqrt()
        shift = 0.0 if mean is None else self.weight @ mean
        covariance = spread @ spread.T + STD**2 * torch.eye(PIXELS, dtype=torch.float64)
        return MultivariateNormal(self.offset + shift, covariance).log_prob(x)

    def distortion(self, x: Tensor, posterior: Independent) -> tuple[Tensor, Tensor]:
        """Mean and variance of -log p(x|z), z ~ q(z|x), each (n,): of a quadratic form in normal noise."""
        mean, std = posterior.mean, posterior.stddev
        rest = x - self.offset - mean @ self.weight.T
        slope = (rest @ self.weight) * std / STD**2
        curved = std.square() * self.weight.square().sum(0) / STD**2  # diagonal, for the columns are orthogonal
        constant = 0.5 * PIXELS * math.log(2.0 * math.pi * STD**2)
        return (
            0.5 * rest.square().sum(1) / STD**2 + 0.5 * curved.sum(1) + constant,
            slope.square().sum(1) + 0.5 * curved.square().sum(1),
        )


def make_truth(scales: tuple[float, ...] = SCALES) -> Truth:
    basis, _ = torch.linalg.qr(torch.randn(PIXELS, len(scales), generator=make_generator(0, "basis"), dtype=torch.float64))
    return Truth(basis * torch.tensor(scales, dtype=torch.float64), torch.full((PIXELS,), 0.5, dtype=torch.float64))


def make_data(truth: Truth, train: int, test: int, dtype: torch.dtype = torch.float64) -> ImageData:
    """So many examples to train on, and so many in valid and in test; no pixel is cut to [0, 1], for no part asks for it."""
    generator, splits = make_generator(1, "data"), {}
    for split, n in (("train", train), ("valid", test), ("test", test)):
        z = torch.randn(n, truth.weight.shape[1], generator=generator, dtype=torch.float64)
        noise = torch.randn(n, PIXELS, generator=generator, dtype=torch.float64)
        x = z @ truth.weight.T + truth.offset + STD * noise
        splits[split] = ImageSplit(x.to(dtype).reshape(n, *SHAPE).numpy())
    return ImageData.make(splits, "grey", "linear-gaussian")


def make_model(truth: Truth, data: ImageData, changes: dict[str, Any] | None = None) -> VAE[Any]:
    """With the true decoder and the true posterior of N(0, I)."""
    size = truth.weight.shape[1]
    latent = {"latent": {"kind": "gaussian", "size": size}}
    model = build_model(config({"more": latent | (changes or {})}), data, make_generator(0, "init")).double()
    decoder, posterior = model.decoder, model.posterior
    assert isinstance(decoder, MlpImageDecoder)
    assert isinstance(posterior, GaussianPosterior)
    gain = truth.weight.T / STD**2 / truth.precision().unsqueeze(1)
    with torch.no_grad():
        decoder.output.weight.copy_(truth.weight)
        decoder.output.bias.copy_(truth.offset)
        posterior.layer.weight.copy_(torch.cat((gain, torch.zeros_like(gain))))
        posterior.layer.bias.copy_(torch.cat((-gain @ truth.offset, -truth.precision().log())))
    return model


def pixels(data: ImageData, split: str) -> Tensor:
    """(n, P)."""
    return torch.from_numpy(np.array(data.splits[split].pixels)).double().reshape(-1, PIXELS)

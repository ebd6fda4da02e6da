"""The options of dropout that the networks share; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import Literal

from vae_core.configurable import Config, Probability


class DropoutOptions(Config):
    """A rate p, and what the units are multiplied by."""

    dropout: Probability = 0.0
    """p (Srivastava et al. 2014)."""
    dropout_noise: Literal["bernoulli", "gaussian"] = "bernoulli"
    """bernoulli: 0 with probability p, else 1 / (1 - p). gaussian: a normal number with the same mean, 1, and the same variance,
    p / (1 - p) (Srivastava et al. 2014, sec. 10; Kingma et al. 2015). Of ``dropout`` alone, not of the other rates."""

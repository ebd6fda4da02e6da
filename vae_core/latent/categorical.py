"""Independent categorical posteriors, their uniform prior, and three ways to train through them.

Shapes: B examples, V variables, C classes of each, Z = V C; K samples an example. A code is V one-hot vectors in a row, (Z,).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from vae_core.latent.interface import Points, Posterior, PosteriorLayer, PriorDensity
from vae_core.latent.options import AnyEstimator, EstimatorConfig, GumbelEstimator, MarginalEstimator, StraightThroughEstimator
from vae_core.latent.space import OneHot
from vae_core.moment import Moment
from vae_core.networks.initialise import linear


@dataclass(frozen=True)
class OneHotCategorical(Posterior):
    """V independent variables of C classes; what is scored are hard samples, whatever training looks at."""

    logits: Tensor
    """(B, V, C), not normalised."""
    estimator: AnyEstimator = field(default_factory=GumbelEstimator)

    @property
    def log_probs(self) -> Tensor:
        """(B, V, C)"""
        return self.logits.log_softmax(-1)

    def expectation(self) -> Tensor:
        return self.logits.softmax(-1).flatten(1)

    def mode(self) -> Tensor:
        return _harden(self.logits).flatten(1)

    @property
    def unit(self) -> float:
        classes = self.logits.shape[-1]
        return math.sqrt(classes - 1) / classes

    @property
    def noise_size(self) -> int:
        return self.logits.shape[1:].numel()

    def sample(self, noise: Tensor) -> Tensor:
        """The class of the greatest logit + Gumbel noise (Maddison et al. 2014), without a gradient: (K, B, Z) -> (K, B, Z)."""
        return _harden(self._perturbed(noise)).flatten(2)

    def relaxed(self, noise: Tensor, temperature: float) -> Tensor:
        """softmax((logits + Gumbel noise) / temperature), (K, B, Z) -> (K, B, Z); Jang et al. 2017, Maddison et al. 2017."""
        soft: Tensor = (self._perturbed(noise) / temperature).softmax(-1)
        return soft.flatten(2)

    def _perturbed(self, noise: Tensor) -> Tensor:
        """(K, B, Z) -> (K, B, V, C). Gumbel noise is -log(-log u), u = Phi(noise); by log Phi no tail of it is lost."""
        gumbel: Tensor = -(-torch.special.log_ndtr(noise)).log()
        return self.logits + gumbel.view(-1, *self.logits.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """Of hard codes; a relaxed one has no probability."""
        return (z * self.log_probs.flatten(1)).sum(-1)

    def pairwise_log_prob(self, z: Tensor) -> Tensor:
        return z @ self.log_probs.flatten(1).T

    def kl_per_dimension(self) -> Tensor:
        """KL to the uniform distribution by variable: sum_c p_c log(C p_c), exact whatever the estimator, (B, V)."""
        log_probs = self.log_probs
        return (log_probs.exp() * (log_probs + math.log(self.logits.shape[-1]))).sum(-1)

    def points(self, samples: int, generator: Generator, moment: Moment) -> Points:
        return _ESTIMATORS[type(self.estimator)](self, samples, generator, moment)


def _harden(scores: Tensor) -> Tensor:
    """One-hot vectors of the greatest, (..., C) -> (..., C)."""
    return one_hot(scores.argmax(-1), scores.shape[-1]).to(scores)


def _gumbel_softmax(posterior: OneHotCategorical, samples: int, generator: Generator, moment: Moment) -> Points:
    assert isinstance(posterior.estimator, GumbelEstimator)
    temperature = posterior.estimator.temperature(moment.step, moment.total)
    return Points(posterior.relaxed(posterior.noise(samples, generator), temperature))


def _straight_through(posterior: OneHotCategorical, samples: int, generator: Generator, moment: Moment) -> Points:
    """y_hard - sg(y) + y (Jang et al. 2017, sec. 2.2), in an order that leaves y_hard's 0 and 1 exact."""
    assert isinstance(posterior.estimator, StraightThroughEstimator)
    noise = posterior.noise(samples, generator)
    soft = posterior.relaxed(noise, posterior.estimator.temperature(moment.step, moment.total))
    return Points(posterior.sample(noise) + (soft - soft.detach()))


def _marginal(posterior: OneHotCategorical, samples: int, generator: Generator, moment: Moment) -> Points:
    """Every code, weighed by its probability: the expectation itself, and its gradient. K = C^V; nothing is drawn."""
    codes = all_codes(*posterior.logits.shape[1:]).to(posterior.logits)
    weight = posterior.pairwise_log_prob(codes).exp()
    return Points(codes.unsqueeze(1).expand(-1, len(posterior.logits), -1), weight)


_ESTIMATORS: dict[type[EstimatorConfig], Callable[[OneHotCategorical, int, Generator, Moment], Points]] = {
    GumbelEstimator: _gumbel_softmax,
    StraightThroughEstimator: _straight_through,
    MarginalEstimator: _marginal,
}


def all_codes(variables: int, classes: int) -> Tensor:
    """Every code, (C^V, V C)."""
    chosen = torch.tensor(list(itertools.product(range(classes), repeat=variables)))
    return one_hot(chosen, classes).flatten(1).to(torch.get_default_dtype())


@dataclass(frozen=True)
class UniformOneHot(PriorDensity):
    """Every class of every variable as likely as the others: the reference of the categorical posterior."""

    variables: int
    classes: int

    def log_prob(self, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-1], -self.variables * math.log(self.classes))

    def sample(self, count: int, generator: Generator) -> Tensor:
        chosen = torch.randint(self.classes, (count, self.variables), generator=generator)
        return one_hot(chosen, self.classes).flatten(1).to(torch.get_default_dtype())

    def kl(self, posterior: Posterior) -> Tensor:
        return posterior.kl_per_dimension()


class CategoricalPosterior(PosteriorLayer):
    """Reads the logits off the encoder's summary, (B, S) -> (B, V, C)."""

    def __init__(self, features: int, variables: int, classes: int, estimator: AnyEstimator, generator: Generator) -> None:
        super().__init__()
        self.size = self.noise_size = variables * classes
        self.reference = UniformOneHot(variables, classes)
        self.shape = (variables, classes)
        self.estimator = estimator
        self.layer = linear(features, self.size, generator)

    @property
    def space(self) -> OneHot:
        return OneHot(*self.shape)

    def forward(self, summary: Tensor, training: bool = False) -> OneHotCategorical:
        return OneHotCategorical(self.layer(summary).view(-1, *self.shape), self.estimator)

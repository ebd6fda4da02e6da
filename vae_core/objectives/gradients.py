"""How the expectation under the posterior is estimated, and with it the encoder's gradient.

Shapes: B examples, K samples an example, Z latent dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vae_core.latent.interface import Posterior, divergence
from vae_core.model import VAE
from vae_core.moment import Moment, State
from vae_core.networks.interface import BatchT
from vae_core.objectives.options import Score
from vae_core.seeding import Streams

_PREFIX = "baseline."
"""Of what the running means are kept under in the state."""


@dataclass(frozen=True)
class Expected:
    """The ELBO's two parts, with gradients to encoder and decoder."""

    distortion: Tensor
    """-E_q log p(x|z) of each example, (B,)."""
    kl: Tensor
    """KL(q(z|x) || p(z)) by part, (B, parts)."""
    state: State = field(default_factory=dict)
    """For the next step."""


class Gradient(ABC):
    """One estimator."""

    def initial(self, device: torch.device | str = "cpu") -> State:
        """The state before the first step."""
        return {}

    @abstractmethod
    def __call__(self, model: VAE[BatchT], batch: BatchT, posterior: Posterior, moment: Moment, streams: Streams) -> Expected:
        """The parts of a batch, from K samples of its posterior."""


class ThroughSamples(Gradient):
    """d/dphi E_q f(z) = E f'(z) dz/dphi (Kingma & Welling 2014), or whatever the family's points do in its place."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __call__(self, model: VAE[BatchT], batch: BatchT, posterior: Posterior, moment: Moment, streams: Streams) -> Expected:
        points = posterior.points(self.samples, streams.noise, moment)
        distortion = points.expect(model.training_nll(batch, points.z, moment, streams))
        return Expected(distortion, divergence(posterior, model.prior_of(batch), points))


class ScoreFunction(Gradient):
    """d/dphi E_q f(z) = E (f(z) - b) d log q(z|x)/dphi, at hard samples that are held fixed (Williams 1992).

    f is the distortion, and log q - log p where the KL has no closed form. The baseline b changes no mean as long as it does not
    depend on z: it is made of the batches before, or of the example's other samples.
    """

    def __init__(self, config: Score, samples: int) -> None:
        self.config, self.samples = config, samples

    def initial(self, device: torch.device | str = "cpu") -> State:
        if self.config.baseline != "running_mean":
            return {}
        names = [f"{_PREFIX}{signal}.{part}" for signal in ("distortion", "rate") for part in ("sum", "weight")]
        return {name: torch.zeros((), dtype=torch.float64, device=device) for name in names}

    def __call__(self, model: VAE[BatchT], batch: BatchT, posterior: Posterior, moment: Moment, streams: Streams) -> Expected:
        z, prior = posterior.detach().draw(self.samples, streams.noise), model.prior_of(batch)
        log_q = posterior.log_prob(z)
        signals = {"distortion": model.training_nll(batch, z, moment, streams)}
        closed = prior.kl(posterior)
        if closed is None:
            signals["rate"] = log_q - prior.log_prob(z)
        learned = {name: self._learned(name, values, log_q, moment.state).mean(0) for name, values in signals.items()}
        state = {name: value for name, value in moment.state.items() if name.startswith(_PREFIX)}
        for name, values in signals.items():
            state |= self._moved(name, values.detach(), state)
        return Expected(learned["distortion"], learned["rate"].unsqueeze(-1) if closed is None else closed, state)

    def _learned(self, name: str, values: Tensor, log_q: Tensor, state: State) -> Tensor:
        """The values (K, B), with the encoder's gradient through log q (K, B) added to their own."""
        advantage = values.detach() - self._baseline(name, values.detach(), state)
        return values + advantage * (log_q - log_q.detach())

    def _baseline(self, name: str, values: Tensor, state: State) -> Tensor | float:
        if self.config.baseline == "running_mean":  # 0 before the first batch
            mean = state[f"{_PREFIX}{name}.sum"] / state[f"{_PREFIX}{name}.weight"].clamp(min=1e-300)
            return mean.to(values)
        if self.config.baseline == "leave_one_out":
            return (values.sum(0) - values) / (len(values) - 1)
        return 0.0

    def _moved(self, name: str, values: Tensor, state: State) -> State:
        """The running mean after these values, as a sum of all and the sum of their weights."""
        if self.config.baseline != "running_mean":
            return {}
        total, weight, keep = f"{_PREFIX}{name}.sum", f"{_PREFIX}{name}.weight", self.config.decay
        moved = keep * state[total] + (1.0 - keep) * values.mean().double()
        return {total: moved, weight: keep * state[weight] + (1.0 - keep)}

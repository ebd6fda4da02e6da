"""Training that is broken off and goes on; every feature that touches training is put through it."""

from __future__ import annotations

from vae_core.config import TrialConfig
from vae_core.model import Data
from vae_core.trainer import Trainer


def assert_learns_and_goes_on(config: TrialConfig, data: Data) -> None:
    """Three epochs or more: the score gets better, and training resumed after the first is bitwise what it was unbroken."""
    whole = Trainer(config, data)
    scores = [record.metrics["val/neg_elbo"] for record in whole.run() if not record.final]
    assert scores[-1] < scores[0]
    first, second = Trainer(config, data), Trainer(config, data)
    next(first.run())
    second.load_state_dict(first.state_dict())
    assert [record.metrics["val/neg_elbo"] for record in second.run() if not record.final] == scores[1:]

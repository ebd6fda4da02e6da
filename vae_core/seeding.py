"""Randomness: one explicit generator a purpose, each seeded from (seed, purpose), so that none disturbs another.

Nothing here or anywhere in the core touches torch's global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Self

import torch
from torch import Generator, Tensor


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2^63) for one purpose of one trial: SHA-256, hence the same on every machine and in every process."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> Generator:
    """A fresh generator for one purpose of one trial."""
    return Generator(device=device).manual_seed(derive_seed(seed, *purpose))


Draws = Generator | Callable[[int], Generator]
"""What a batch is drawn from: one generator, example after example, or each example's own by its place in the split."""


def generator_of_each(seed: int, purpose: str) -> Callable[[int], Generator]:
    """A fresh generator for each example by its place, so that what it draws does not depend on its batch."""
    return partial(make_generator, seed, purpose)


@dataclass(frozen=True)
class Streams:
    """The generators that training draws from; handing them to a model is what turns its regularisers on."""

    shuffle: Generator
    """Order of the examples; on the CPU, as the data are."""
    binarise: Generator
    """Dynamic binarisation of images; on the CPU."""
    noise: Generator
    """Posterior samples."""
    dropout: Generator
    """Masks of every dropout."""
    negatives: Generator
    """Sampled classes of the softmax."""
    feeding: Generator
    """Places and words of scheduled sampling."""
    prior: Generator
    """Codes of the prior that an objective compares with; on the CPU, as ``PriorDensity.sample`` wants it."""

    @classmethod
    def create(cls, seed: int, device: torch.device | str = "cpu") -> Self:
        """The generators of a trial at its first step; those not on the CPU live on ``device``."""
        return cls(
            shuffle=make_generator(seed, "shuffle"),
            binarise=make_generator(seed, "binarise"),
            noise=make_generator(seed, "noise", device=device),
            dropout=make_generator(seed, "dropout", device=device),
            negatives=make_generator(seed, "negatives", device=device),
            feeding=make_generator(seed, "feeding", device=device),
            prior=make_generator(seed, "prior"),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """The state of each, by name."""
        return {field.name: getattr(self, field.name).get_state() for field in fields(self)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Puts each back to where it was saved."""
        for field in fields(self):
            getattr(self, field.name).set_state(state[field.name])

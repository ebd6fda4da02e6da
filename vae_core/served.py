"""A finished model as a function: codes of a user's examples, their scores, what codes decode to, new examples.

Shapes: n examples or codes, Z latent dimensions; images are (n, H, W) or (n, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vae_core.checkpoint import LoadedModel, load_model
from vae_core.codes import encode_batches, in_order
from vae_core.data.text_config import TextConfig
from vae_core.decoding import Ancestral, Greedy
from vae_core.evaluate import importance_weighted_examples
from vae_core.generate import decode_images, decode_text, posteriors, prior_codes
from vae_core.given import GIVEN, given_images, given_text, label_numbers
from vae_core.model import Data

_BATCH = 64
Floats = npt.NDArray[np.float64]
Decoded = list[str] | npt.NDArray[np.float32]
"""Sentences, or images (n, H, W[, C]) in [0, 1]."""


class Served:
    """One model, without its training data.

    Every method is a function of its arguments: the same seed gives the same answer. Labels are names, and for models that
    read them alone.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    @classmethod
    def load(cls, directory: Path) -> Served:
        """The model of a checkpoint directory.

        Raises:
            CheckpointError: it holds none, or a damaged one.
        """
        return cls(load_model(directory))

    @torch.no_grad()
    def encode(self, examples: Any, labels: Sequence[str] | None = None) -> Floats:
        """The mode of each example's posterior, (n, Z).

        Args:
            examples: sentences, or images (n, H, W[, C]).

        Raises:
            ValueError: as ``vae_core.given``.
        """
        data = self._data(examples, labels)
        plan = data.plan(GIVEN, _BATCH, None)
        modes = [posteriors(self.loaded.model, data, GIVEN, index).mode() for index in plan]
        return _floats(in_order(modes, plan))

    @torch.no_grad()
    def score(self, examples: Any, labels: Sequence[str] | None = None, *, samples: int = 0, seed: int = 0) -> dict[str, Floats]:
        """``distortion``, ``rate`` and their sum ``neg_elbo`` of each example in nats, (n,), at beta 1 and by one sample each.

        Args:
            samples: with K of them also ``iw_nll``, the importance-weighted bound.

        Raises:
            ValueError: as ``vae_core.given``; or ``samples`` is negative.
        """
        if samples < 0:
            raise ValueError(f"samples must be 0 or more, got {samples}")
        model, data = self.loaded.model, self._data(examples, labels)
        plan = data.plan(GIVEN, _BATCH, None)
        distortions, rates = [], []
        for coded in encode_batches(model, data, GIVEN, plan, seed):
            distortions.append(model.nll(coded.batch, coded.z)[0])
            rates.append(coded.kl.sum(1))
        distortion, rate = _floats(in_order(distortions, plan)), _floats(in_order(rates, plan))
        found = {"neg_elbo": distortion + rate, "distortion": distortion, "rate": rate}
        if samples:
            index = np.concatenate(plan)
            nll = importance_weighted_examples(model, data, GIVEN, index, samples=samples, seed=seed)
            found["iw_nll"] = _floats(in_order([nll], [index]))
        return found

    def decode(
        self, codes: npt.ArrayLike, labels: Sequence[str] | None = None, *, temperature: float = 0.0, seed: int = 0
    ) -> Decoded:
        """What each code (n, Z) decodes to: the mean image, or words.

        Args:
            labels: of a conditional model; None: each label in turn.
            temperature: words are drawn from p^(1/temperature); 0: the most likely ones.

        Raises:
            ValueError: codes of another length, or unknown labels.
        """
        model = self.loaded.model
        like = next(model.parameters())
        z = torch.as_tensor(np.asarray(codes, dtype=np.float64)).to(like)
        if z.ndim != 2 or not len(z) or z.shape[1] != model.latent_size:
            raise ValueError(f"codes are (n, {model.latent_size}) here, n at least 1, not {tuple(z.shape)}")
        return self._decode(z, self._told(labels, len(z)), temperature, seed)

    def generate(
        self, count: int, labels: Sequence[str] | None = None, *, temperature: float = 1.0, seed: int = 0
    ) -> tuple[Decoded, Floats]:
        """New examples, and their codes from the prior, (n, Z).

        Args:
            labels: of each, for a model that reads them; None: each label in turn.
            temperature: as of ``decode``.

        Raises:
            ValueError: ``count`` is below 1, or unknown labels.
        """
        if count < 1:
            raise ValueError(f"count must be 1 or more, got {count}")
        told = self._told(labels, count)
        codes = prior_codes(self.loaded.model, count, seed, told)
        return self._decode(codes, told, temperature, seed), _floats(codes.double())

    def _decode(self, z: Tensor, told: Tensor | None, temperature: float, seed: int) -> Decoded:
        model, shape = self.loaded.model, self.loaded.shape
        if shape is not None:
            return decode_images(model, z, shape, told)
        config = self.loaded.config.data
        assert isinstance(config, TextConfig)
        decoding = Ancestral(temperature=temperature) if temperature else Greedy()
        return decode_text(model, z, config.max_length, decoding, seed=seed, labels=told)

    def _data(self, examples: Any, labels: Sequence[str] | None) -> Data:
        make = given_text if self.loaded.shape is None else given_images
        return make(self.loaded, examples, labels)

    def _told(self, labels: Sequence[str] | None, count: int) -> Tensor | None:
        if labels is None:
            return None
        if len(labels) != count:
            raise ValueError(f"{len(labels)} labels for {count} codes")
        device = next(self.loaded.model.parameters()).device
        return torch.from_numpy(label_numbers(self.loaded, labels)).to(device)


def _floats(numbers: Tensor) -> Floats:
    found: Floats = numbers.cpu().double().numpy()
    return found

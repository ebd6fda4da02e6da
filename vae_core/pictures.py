"""Pictures of a training under way: what the model draws, and how it draws validation images again.

Legend: images are (n, H, W) or (n, H, W, C).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.generate import PER_ROW, Images, decode_images, grid, posteriors, prior_codes
from vae_core.model import VAE
from vae_core.seeding import make_generator

TIMES = 10
"""So often at most in a trial."""
_SAMPLES = 2 * PER_ROW


def picture_epochs(config: TrialConfig) -> frozenset[int]:
    """After which epochs pictures are made: the first, and nine evenly up to the last; none of text, or without samples."""
    if config.data.modality == "text" or config.evaluation.samples == 0:
        return frozenset()
    epochs, parts = config.training.epochs, TIMES - 1
    return frozenset({1, *(-(-part * epochs // parts) for part in range(1, TIMES))})


@torch.no_grad()
def pictures(model: VAE[Any], config: TrialConfig, data: ImageData) -> dict[str, Images]:
    """By name: samples, of the same noise at every epoch; and validation images above what becomes of them, eight a row.

    Nothing is drawn from the generators of training, so that it goes on as if nobody had looked.
    """
    shape = tuple(data.shape)
    count = min(config.evaluation.samples, _SAMPLES)
    drawn = decode_images(model, prior_codes(model, count, config.seed), shape)
    n = len(data.splits["valid"])
    index = np.arange(min(PER_ROW, n)) * n // min(PER_ROW, n)
    batch = data.batch("valid", index, make_generator(0, "binarise"))
    codes = posteriors(model, data, "valid", index).mode()
    labels = None if batch.labels is None else batch.labels.to(codes.device)
    again = decode_images(model, codes, shape, labels)
    inputs = batch.pixels.numpy().reshape(len(index), *shape)
    return {"samples": grid(drawn), "reconstructions": grid(np.concatenate((inputs, again)), len(index))}

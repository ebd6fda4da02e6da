"""The codes of validation examples with what is decoded from each, so that a page can show the latent space without the model.

Shapes: N examples, B of them at a time, Z latent dimensions; images are (N, H, W) or (N, H, W, C).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vae_core.codes import CodedBatch, Index, encode_batches
from vae_core.config import TrialConfig
from vae_core.data.images import ImageData
from vae_core.data.text_config import TextConfig
from vae_core.generate import decode_images, decode_text
from vae_core.model import VAE, Data
from vae_core.seeding import derive_seed

SPLIT = "valid"
EXAMPLES = 1000
"""At most, evenly spread over the split."""
_PIXELS = 2**21
"""Numbers of all pictures at most; of large ones there are fewer, but ``_FEWEST``."""
_FEWEST = 100
_CHARACTERS = 300
"""Of a text at most."""
_BATCH = 128

Arrays = dict[str, npt.NDArray[Any]]


@torch.no_grad()
def write_codes(model: VAE[Any], config: TrialConfig, data: Data, directory: Path) -> None:
    """Writes ``codes.npz``; nothing where ``evaluation.samples`` is 0.

    ``index`` in the split, ``means`` and ``codes`` (the posteriors' means and modes, (N, Z)), ``rate`` (of each, in nats; by one
    sample where the KL has no closed form), ``inputs`` and ``outputs`` (texts, or images as bytes; what is decoded from the code,
    greedily or as the mean image), and where the data have labels, ``labels`` and their ``names``.
    """
    if config.evaluation.samples == 0:
        return
    directory.mkdir(parents=True, exist_ok=True)
    index = _chosen(data)
    plan = np.split(index, range(_BATCH, len(index), _BATCH))
    parts = [
        _part(model, config, data, coded) for coded in encode_batches(model, data, SPLIT, plan, derive_seed(config.seed, SPLIT))
    ]
    arrays: Arrays = {"index": index} | {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    labels = data.splits[SPLIT].labels
    if labels is not None and data.labels is not None:
        arrays |= {"labels": labels[index], "names": np.array(data.labels)}
    np.savez_compressed(directory / "codes.npz", allow_pickle=False, **arrays)


def _chosen(data: Data) -> Index:
    n = len(data.splits[SPLIT])
    most = max(_FEWEST, _PIXELS // int(np.prod(data.shape))) if isinstance(data, ImageData) else EXAMPLES
    count = min(n, EXAMPLES, most)
    chosen: Index = np.arange(count, dtype=np.int64) * n // count
    return chosen


def _part(model: VAE[Any], config: TrialConfig, data: Data, coded: CodedBatch) -> Arrays:
    """All but the labels, of B examples."""
    batch, modes = coded.batch, coded.posterior.mode()
    codes: Arrays = {
        "means": coded.posterior.expectation().float().cpu().numpy(),
        "codes": modes.float().cpu().numpy(),
        "rate": coded.kl.sum(1).float().cpu().numpy(),
    }
    if isinstance(data, ImageData):
        inputs = batch.pixels.cpu().numpy().reshape(len(modes), *data.shape)
        return codes | {"inputs": _bytes(inputs), "outputs": _bytes(decode_images(model, modes, data.shape, batch.labels))}
    assert isinstance(config.data, TextConfig)
    outputs = decode_text(model, modes, config.data.max_length, labels=batch.labels)
    inputs = [data.vocabulary.decode(row) for row in batch.targets.tolist()]
    return codes | {"inputs": _texts(inputs), "outputs": _texts(outputs)}


def _bytes(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values in [0, 1] as 0 to 255; what lies outside, as of whitened data, is cut."""
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
    return levels


def _texts(texts: list[str]) -> npt.NDArray[np.str_]:
    return np.array([text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…" for text in texts])

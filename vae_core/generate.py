"""Codes to look at, and the sentences and pictures that they decode to.

Shapes: B codes, Z latent dimensions, V words, D parts of a code; images are (B, H, W) or (B, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vae_core.decoding import AnyDecoding, Greedy, State, WordModel
from vae_core.latent.interface import Posterior
from vae_core.model import VAE, Data
from vae_core.networks.image import ImageDecoder
from vae_core.networks.text import TextDecoder
from vae_core.seeding import generator_of_each, make_generator
from vae_core.softmax.svd import SvdHead

if TYPE_CHECKING:
    from PIL import Image

Images = npt.NDArray[np.float32]
PER_ROW = 8
_ROWS = 2048
"""Sentences, or beams of them, that are decoded at once."""


@torch.no_grad()
def prior_codes(model: VAE[Any], count: int, seed: int, labels: Tensor | None = None) -> Tensor:
    """Codes from the prior, (count, Z); the same on every device.

    Args:
        labels: whose prior each is from, (count,); None: each label in turn, where the model tells them apart.
    """
    device = next(model.parameters()).device
    density = model.prior.given(_in_turn(model, count) if labels is None else labels)
    return density.sample(count, make_generator(seed, "prior")).to(device)


def _in_turn(model: VAE[Any], count: int) -> Tensor | None:
    """The labels of codes for which none were asked, (count,); None where the model tells none apart."""
    device = next(model.parameters()).device
    return torch.arange(count, device=device) % model.label_count if model.label_count else None


@torch.no_grad()
def posteriors(model: VAE[Any], data: Data, split: str, index: npt.NDArray[np.int64]) -> Posterior:
    """The posterior of each example."""
    device = next(model.parameters()).device
    batch: Any = data.batch(split, index, generator_of_each(0, "binarise")).to(device)
    return model.encode(batch)


def widest_parts(model: VAE[Any], data: Data, split: str, batch_size: int, count: int) -> Tensor:
    """The ``count`` parts of a code, or all, whose posterior means vary most over the split, most first; ties by number, (D,)."""
    means = [posteriors(model, data, split, index).expectation() for index in data.plan(split, batch_size, None)]
    spread = model.posterior.space.spread(torch.cat(means).double())
    return spread.sort(descending=True, stable=True).indices[:count]


def decode_text(
    model: VAE[Any],
    z: Tensor,
    max_length: int,
    decoding: AnyDecoding | None = None,
    *,
    seed: int = 0,
    labels: Tensor | None = None,
    svd: SvdHead | None = None,
) -> list[str]:
    """A sentence of each code (B, Z); see ``decode_ids``."""
    decoder = model.decoder
    assert isinstance(decoder, TextDecoder), "images have no words"
    found = decode_ids(model, z, max_length, decoding, seed=seed, labels=labels, svd=svd)
    return [decoder.vocabulary.decode(sentence) for sentence in found]


@torch.no_grad()
def decode_ids(
    model: VAE[Any],
    z: Tensor,
    max_length: int,
    decoding: AnyDecoding | None = None,
    *,
    seed: int = 0,
    labels: Tensor | None = None,
    svd: SvdHead | None = None,
) -> list[list[int]]:
    """The word ids of a sentence of each code (B, Z), without ``</s>``; ``<s>`` and ``<pad>`` are never given out.

    Args:
        max_length: words at most; a longer sentence ends there.
        decoding: how the words are chosen; None: greedily.
        seed: of the draws, where there are any.
        labels: what a conditional decoder is told, (B,); None: each label in turn.
        svd: the decoder's softmax by SVD, which is faster and nearly the same; None: the softmax itself.
    """
    decoding = decoding or Greedy()
    decoder, z = model.decoder, model.with_label(z, _in_turn(model, len(z)) if labels is None else labels)
    assert isinstance(decoder, TextDecoder), "images have no words"
    vocabulary, generator = decoder.vocabulary, make_generator(seed, "words", device=z.device)

    def step(words: Tensor, state: State) -> tuple[Tensor, State]:
        code, *memory = state
        log_probs, after = decoder.step(words, code, tuple(memory), svd)
        log_probs[:, [vocabulary.bos, vocabulary.pad]] = -torch.inf
        return log_probs.log_softmax(1), (code, *after)

    sentences: list[list[int]] = []
    with decoder.remembering():
        for part in torch.split(z, max(1, _ROWS // decoding.rows)):
            words = WordModel(step, (part, *decoder.first_state(part)), vocabulary.bos, vocabulary.eos)
            rows = decoding.decode(words, max_length, generator).tolist()
            sentences += [list(takewhile(lambda word: word != vocabulary.eos, row)) for row in rows]
    return sentences


@torch.no_grad()
def decode_images(model: VAE[Any], z: Tensor, shape: tuple[int, ...], labels: Tensor | None = None) -> Images:
    """The mean image of each code, (B, Z) -> (B, *shape), clipped to [0, 1]; ``labels`` as in ``decode_ids``."""
    decoder, z = model.decoder, model.with_label(z, _in_turn(model, len(z)) if labels is None else labels)
    assert isinstance(decoder, ImageDecoder), "sentences have no pixels"
    pixels = decoder.likelihood.mean(decoder.parameters_of(z)).clamp(0.0, 1.0)
    images: Images = pixels.cpu().numpy().astype(np.float32).reshape(len(z), *shape)
    return images


def grid(images: Images, columns: int = PER_ROW) -> Images:
    """Lays images out in rows, one white pixel between them: (B, H, W[, C]) -> (rows (H + 1) - 1, columns (W + 1) - 1[, C])."""
    rows = -(-len(images) // columns)
    padded = np.ones((rows * columns, images.shape[1] + 1, images.shape[2] + 1, *images.shape[3:]), np.float32)
    padded[: len(images), :-1, :-1] = images
    tiles = padded.reshape(rows, columns, *padded.shape[1:]).swapaxes(1, 2)
    laid_out: Images = tiles.reshape(rows * padded.shape[1], columns * padded.shape[2], *images.shape[3:])[:-1, :-1]
    return laid_out


def write_png(image: Images, path: Path, scale: int = 1) -> None:
    """Writes one picture in [0, 1], (H, W), (H, W, 1) or (H, W, 3), each pixel ``scale`` wide."""
    picture_of(image, scale).save(path)


def picture_of(image: Images, scale: int = 1) -> Image.Image:
    """The same as a picture of Pillow's."""
    from PIL import Image

    levels = np.rint(image * 255.0).astype(np.uint8)
    if levels.shape[2:] == (1,):
        levels = levels[..., 0]
    return Image.fromarray(levels.repeat(scale, 0).repeat(scale, 1))


def write_lines(path: Path, title: str, blocks: list[str]) -> None:
    path.write_text("\n".join((f"{title}\n", *blocks)), encoding="utf-8")


def scale_of(shape: Sequence[int]) -> int:
    """Pixels of the picture a pixel of the data, so that small images can be seen."""
    return max(1, 64 // shape[0])

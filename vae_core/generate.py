"""Samples, reconstructions, interpolations and traversals, for people to look at.

Shapes: B codes, Z latent dimensions, V words, D dimensions traversed, S steps of each; images are (B, H, W) or (B, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vae_core.config import TrialConfig
from vae_core.data.config import TextConfig
from vae_core.data.images import ImageData
from vae_core.data.text import TextData
from vae_core.decoding import Ancestral, AnyDecoding, Greedy, State, WordModel
from vae_core.latent.interface import PriorDensity
from vae_core.model import VAE, Data
from vae_core.networks.image import ImageDecoder
from vae_core.networks.sentence import SentenceDecoder
from vae_core.seeding import make_generator

Images = npt.NDArray[np.float32]
_PER_ROW = 8
_STEPS = 8
"""Codes of an interpolation, both ends counted."""
_TRAVERSED = 8
"""Dimensions of a traversal at most."""
_SPAN = 3.0
_SPAN_STEPS = 7
"""A traversal goes from -3 to 3, by whole numbers: three standard deviations of the prior to either side."""
_ROWS = 2048
"""Sentences, or beams of them, that are decoded at once."""


@torch.no_grad()
def prior_codes(model: VAE[Any], count: int, seed: int) -> Tensor:
    """Codes from the prior, (count, Z); the same on every device."""
    device = next(model.parameters()).device
    density: PriorDensity = model.prior()
    return density.sample(count, make_generator(seed, "prior")).to(device)


@torch.no_grad()
def posterior_means(model: VAE[Any], data: Data, split: str, index: npt.NDArray[np.int64]) -> Tensor:
    """The mean of each example's posterior, (B, Z)."""
    device = next(model.parameters()).device
    batch: Any = data.batch(split, index, make_generator(0, "binarise")).to(device)
    return model.encode(batch).expectation()


def interpolate(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Codes on the straight line from one code to another, both ends among them: two (Z,) -> (steps, Z)."""
    share = torch.linspace(0.0, 1.0, steps, device=first.device, dtype=first.dtype).unsqueeze(1)
    return torch.lerp(first, last, share)


def traverse(base: Tensor, dimensions: Tensor, values: Tensor) -> Tensor:
    """Codes that differ from ``base`` (Z,) in one dimension each, which takes every value: (D,), (S,) -> (D, S, Z)."""
    codes = base.repeat(len(dimensions), len(values), 1)
    codes[torch.arange(len(dimensions), device=base.device), :, dimensions] = values
    return codes


def widest_dimensions(model: VAE[Any], data: Data, split: str, batch_size: int, count: int) -> Tensor:
    """The ``count`` dimensions, or all, whose posterior means vary most over the split, most first; ties by number, (D,)."""
    means = [posterior_means(model, data, split, index) for index in data.plan(split, batch_size, None)]
    variance = torch.cat(means).double().var(0, correction=0)
    return variance.sort(descending=True, stable=True).indices[:count]


@torch.no_grad()
def decode_text(model: VAE[Any], z: Tensor, max_length: int, decoding: AnyDecoding | None = None, *, seed: int = 0) -> list[str]:
    """A sentence of each code (B, Z); ``<s>`` and ``<pad>`` are never given out.

    Args:
        max_length: words at most; a longer sentence ends there.
        decoding: how the words are chosen; None: greedily.
        seed: of the draws, where there are any.
    """
    decoding = decoding or Greedy()
    decoder = model.decoder
    assert isinstance(decoder, SentenceDecoder), "images have no words"
    vocabulary, generator = decoder.vocabulary, make_generator(seed, "words", device=z.device)

    def step(words: Tensor, state: State) -> tuple[Tensor, State]:
        code, *memory = state
        log_probs, after = decoder.step(words, code, tuple(memory))
        log_probs[:, [vocabulary.bos, vocabulary.pad]] = -torch.inf
        return log_probs.log_softmax(1), (code, *after)

    sentences = []
    for part in torch.split(z, max(1, _ROWS // decoding.rows)):
        words = WordModel(step, (part, *decoder.first_state(part)), vocabulary.bos, vocabulary.eos)
        sentences += [vocabulary.decode(row) for row in decoding.decode(words, max_length, generator).tolist()]
    return sentences


@torch.no_grad()
def decode_images(model: VAE[Any], z: Tensor, shape: tuple[int, ...]) -> Images:
    """The mean image of each code, (B, Z) -> (B, *shape), clipped to [0, 1]."""
    decoder = model.decoder
    assert isinstance(decoder, ImageDecoder), "sentences have no pixels"
    pixels = decoder.likelihood.mean(decoder.parameters_of(z)).clamp(0.0, 1.0)
    images: Images = pixels.cpu().numpy().astype(np.float32).reshape(len(z), *shape)
    return images


def grid(images: Images, columns: int = _PER_ROW) -> Images:
    """Lays images out in rows, one white pixel between them: (B, H, W[, C]) -> (rows (H + 1) - 1, columns (W + 1) - 1[, C])."""
    rows = -(-len(images) // columns)
    padded = np.ones((rows * columns, images.shape[1] + 1, images.shape[2] + 1, *images.shape[3:]), np.float32)
    padded[: len(images), :-1, :-1] = images
    tiles = padded.reshape(rows, columns, *padded.shape[1:]).swapaxes(1, 2)
    laid_out: Images = tiles.reshape(rows * padded.shape[1], columns * padded.shape[2], *images.shape[3:])[:-1, :-1]
    return laid_out


def write_png(image: Images, path: Path, scale: int = 1) -> None:
    """Writes one picture in [0, 1], (H, W), (H, W, 1) or (H, W, 3), each pixel ``scale`` wide."""
    from PIL import Image

    levels = np.rint(image * 255.0).astype(np.uint8)
    if levels.shape[2:] == (1,):
        levels = levels[..., 0]
    Image.fromarray(levels.repeat(scale, 0).repeat(scale, 1)).save(path)


def write_samples(model: VAE[Any], config: TrialConfig, data: Data, directory: Path) -> None:
    """Writes samples, and reconstructions, interpolations and traversals of the test split, as .txt or .png.

    ``evaluation.samples`` of each; traversals of at most eight dimensions, the others at 0 and then at an example's mean.
    """
    count = config.evaluation.samples
    if count == 0:
        return
    directory.mkdir(parents=True, exist_ok=True)
    n = len(data.splits["test"])
    index = np.arange(min(count, n)) * n // min(count, n)
    means = posterior_means(model, data, "test", index)
    pairs = [interpolate(means[place], means[(place + 1) % len(index)], _STEPS) for place in range(0, len(index), 2)]
    codes = prior_codes(model, count, config.seed)
    dimensions = widest_dimensions(model, data, "test", config.training.batch_size, _TRAVERSED)
    values = torch.linspace(-_SPAN, _SPAN, _SPAN_STEPS, device=means.device)
    traversals = [traverse(base, dimensions, values) for base in (torch.zeros_like(means[0]), means[0])]
    if isinstance(data, TextData):
        assert isinstance(config.data, TextConfig)
        length = config.data.max_length
        _write_text(model, data, index, codes, means, pairs, length, config.seed, directory)
        _write_text_traversals(model, traversals, dimensions, values, length, directory)
    else:
        _write_images(model, data, index, codes, means, pairs, directory)
        pictures = decode_images(model, torch.cat(traversals).flatten(0, 1), tuple(data.shape))
        write_png(grid(pictures, _SPAN_STEPS), directory / "traversals.png", _scale(data.shape))


def _write_text(
    model: VAE[Any],
    data: TextData,
    index: npt.NDArray[np.int64],
    codes: Tensor,
    means: Tensor,
    pairs: list[Tensor],
    length: int,
    seed: int,
    directory: Path,
) -> None:
    greedy = decode_text(model, codes, length)
    drawn = decode_text(model, codes, length, Ancestral(), seed=seed)
    samples = [f"greedy  {first}\ndrawn   {second}\n" for first, second in zip(greedy, drawn, strict=True)]
    title = "Codes from the prior: the most likely words, and words drawn at temperature 1."
    _write_lines(directory / "samples.txt", title, samples)
    targets = data.batch("test", index, None).targets.tolist()
    pairs_of_text = zip((data.vocabulary.decode(row) for row in targets), decode_text(model, means, length), strict=True)
    lines = [f"input   {text}\noutput  {again}\n" for text, again in pairs_of_text]
    _write_lines(directory / "reconstructions.txt", "Test sentences, and the most likely words at their posterior's mean.", lines)
    lines = ["".join(f"{text}\n" for text in decode_text(model, pair, length)) for pair in pairs]
    title = "The most likely words along straight lines between the posterior means of two test sentences."
    _write_lines(directory / "interpolations.txt", title, lines)


def _write_text_traversals(
    model: VAE[Any], traversals: list[Tensor], dimensions: Tensor, values: Tensor, length: int, directory: Path
) -> None:
    blocks = []
    for rest, codes in zip(("0", "the posterior mean of the first reconstructed sentence"), traversals, strict=True):
        for dimension, line in zip(dimensions.tolist(), codes, strict=True):
            pairs = zip(values.tolist(), decode_text(model, line, length), strict=True)
            blocks.append(f"z[{dimension}], the others at {rest}\n" + "".join(f"{value:+.0f}  {text}\n" for value, text in pairs))
    title = "The most likely words as one dimension changes; those whose posterior mean varies most over test come first."
    _write_lines(directory / "traversals.txt", title, blocks)


def _write_lines(path: Path, title: str, blocks: list[str]) -> None:
    path.write_text("\n".join((f"{title}\n", *blocks)), encoding="utf-8")


def _write_images(
    model: VAE[Any],
    data: ImageData,
    index: npt.NDArray[np.int64],
    codes: Tensor,
    means: Tensor,
    pairs: list[Tensor],
    directory: Path,
) -> None:
    shape = tuple(data.shape)
    scale = _scale(shape)
    write_png(grid(decode_images(model, codes, shape)), directory / "samples.png", scale)
    pixels = data.batch("test", index, make_generator(0, "binarise")).pixels
    inputs = pixels.numpy().reshape(len(index), *shape)
    both = np.stack((inputs, decode_images(model, means, shape)), 1).reshape(2 * len(index), *shape)  # input, output, input, ..
    write_png(grid(both), directory / "reconstructions.png", scale)
    write_png(grid(decode_images(model, torch.cat(pairs), shape), _STEPS), directory / "interpolations.png", scale)


def _scale(shape: Sequence[int]) -> int:
    """Pixels of the picture a pixel of the data, so that small images can be seen."""
    return max(1, 64 // shape[0])

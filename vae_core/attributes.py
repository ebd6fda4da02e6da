"""Attributes as directions of the latent space (Radford et al. 2016, sec. 6.3.2; Larsen et al. 2016, sec. 4.1).

The mean code of the examples with a label minus that of those with another, added to the code of an example that lacks the label.

Shapes: B examples, Y labels, Z latent dimensions, S strengths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vae_core.config import TrialConfig
from vae_core.data.errors import DataError
from vae_core.data.images import ImageData
from vae_core.data.labels import label_number
from vae_core.data.text import TextData
from vae_core.data.text_config import TextConfig
from vae_core.decoding import AnyDecoding
from vae_core.generate import Images, decode_images, decode_text, grid, picture_of, posteriors, scale_of, write_lines
from vae_core.latent.space import Euclidean
from vae_core.model import VAE, Data
from vae_core.seeding import make_generator

STRENGTHS = (0.0, 0.5, 1.0, 1.5)
"""What the direction is multiplied by; at 0 an example is reconstructed, at 1 the mean of its label becomes that of the other."""
_EXAMPLES = 10_000
"""Of train, evenly spread, from which the mean codes are taken at most."""
_BATCH = 256
_LABELS = 20
"""Labels of which an artifact is kept at most, the first ones."""
_SHOWN = 4
"""Examples of each of them."""
_HEADING, _MARGIN, _LABEL_LENGTH = 16, 4, 20
"""Of the legend: pixels, pixels, characters."""


@dataclass(frozen=True)
class LabelMeans:
    """The mean code of each label's examples in train."""

    means: Tensor
    """float64 (Y, Z); of a label without an example 0."""
    counts: Tensor
    """float64 (Y,), examples that a mean is of."""

    @classmethod
    def of(cls, model: VAE[Any], data: Data) -> LabelMeans:
        """Means of the posteriors' means over train, or over 10,000 of its examples, evenly spread."""
        assert data.labels is not None
        n = len(data.splits["train"])
        index = np.arange(min(n, _EXAMPLES)) * n // min(n, _EXAMPLES)
        sums, counts = torch.zeros(len(data.labels), model.latent_size, dtype=torch.float64), torch.zeros(len(data.labels))
        labels = data.splits["train"].labels
        assert labels is not None
        for part in np.split(index, range(_BATCH, len(index), _BATCH)):
            found = torch.from_numpy(labels[part])
            sums.index_add_(0, found, posteriors(model, data, "train", part).expectation().cpu().double())
            counts += torch.bincount(found, minlength=len(counts))
        return cls(sums / counts.clamp(min=1.0).unsqueeze(1), counts.double())

    def direction(self, plus: int, minus: int | None) -> Tensor:
        """The mean code with a label minus that of another, or, where none is named, that of all other examples: (Z,)."""
        if minus is not None:
            return self.means[plus] - self.means[minus]
        others = self.counts.clone()
        others[plus] = 0.0
        return self.means[plus] - (others / others.sum()) @ self.means


@dataclass(frozen=True)
class Change:
    """Test examples, and their codes moved by a direction."""

    index: npt.NDArray[np.int64]
    """(B,), in test."""
    codes: Tensor
    """(B, S, Z)."""


def refuse_attributes(config: TrialConfig) -> None:
    """Checks that labels are directions of this trial's codes.

    Raises:
        DataError: the data have no labels, the model is told them, or codes cannot be added.
    """
    if not config.data.labelled:
        cure = "" if config.data.label_option is None else f"; data.{config.data.label_option} would give them"
        raise DataError(f"attributes are differences between labels, and these data have none{cure}")
    if config.model.condition is not None:
        raise DataError("attributes are what codes tell of labels, and with model.condition encoder and decoder are told them")
    if config.model.latent.kind != "gaussian":
        raise DataError(f"attributes are added to codes, which model.latent.kind: {config.model.latent.kind} does not allow")


def attribute_numbers(data: Data, plus: str, minus: str | None) -> tuple[int, int | None]:
    """The labels of ``--attribute`` and ``--minus`` by number.

    Raises:
        DataError: there is no such label, or both are the same; says which there are, and the nearest.
    """
    assert data.labels is not None
    if plus == minus:
        raise DataError(f"--minus {minus}: that is the attribute itself; name another label, or none for all others")
    number = label_number(plus, data.labels, f"--attribute {plus}")
    if minus is None and len(data.labels) == 1:
        raise DataError(f"--attribute {plus}: it is the only label, so there are no others to subtract")
    return number, None if minus is None else label_number(minus, data.labels, f"--minus {minus}")


def changed(model: VAE[Any], data: Data, means: LabelMeans, plus: int, minus: int | None, count: int) -> Change | None:
    """At most ``count`` test examples that lack the label (that have the other, where one is named), changed towards it.

    None where test has no such example.
    """
    labels = data.splits["test"].labels
    assert labels is not None
    places = np.flatnonzero(labels != plus if minus is None else labels == minus)
    if not len(places):
        return None
    index = places[np.arange(min(count, len(places))) * len(places) // min(count, len(places))]
    codes = posteriors(model, data, "test", index).mode()
    steps = torch.outer(torch.tensor(STRENGTHS, dtype=torch.float64), means.direction(plus, minus)).to(codes)
    return Change(index, codes.unsqueeze(1) + steps)


def changed_text(
    model: VAE[Any], data: TextData, change: Change, length: int, decoding: AnyDecoding | None = None, seed: int = 0
) -> list[str]:
    """A block of lines an example: the sentence, and what its code decodes to at each strength."""
    texts = iter(decode_text(model, change.codes.flatten(0, 1), length, decoding, seed=seed))
    targets = data.batch("test", change.index, None).targets.tolist()
    blocks = []
    for row in targets:
        lines = [f"{strength:+.1f}   {next(texts)}\n" for strength in STRENGTHS]
        blocks.append(f"input  {data.vocabulary.decode(row)}\n" + "".join(lines))
    return blocks


def changed_images(model: VAE[Any], data: ImageData, change: Change) -> Images:
    """Rows of the image and what its code decodes to at each strength, (B (1 + S), H, W[, C])."""
    shape = tuple(data.shape)
    outputs = decode_images(model, change.codes.flatten(0, 1), shape).reshape(len(change.index), len(STRENGTHS), *shape)
    inputs = data.batch("test", change.index, make_generator(0, "binarise")).pixels.numpy().reshape(-1, 1, *shape)
    return np.concatenate((inputs, outputs), 1).reshape(-1, *shape)


def write_picture(images: Images, shape: Sequence[int], path: Path, labels: Sequence[str]) -> None:
    """A row an example: see ``changed_images``; above each column its strength, left of each row the label that is added.

    Args:
        labels: one a row; one that repeats the label above it is not written again.
    """
    from PIL import Image, ImageDraw, ImageFont

    scale, font = scale_of(shape), ImageFont.load_default()
    picture = picture_of(grid(images, 1 + len(STRENGTHS)), scale)
    words = [label.encode("latin-1", "replace").decode("latin-1")[:_LABEL_LENGTH] for label in labels]
    left = _MARGIN + math.ceil(max(font.getlength(word) for word in words)) + _MARGIN
    legend = Image.new("RGB", (left + picture.width, _HEADING + picture.height), "white")
    legend.paste(picture, (left, _HEADING))
    draw = ImageDraw.Draw(legend)
    for column, heading in enumerate(("input", *(f"{strength:+.1f}" for strength in STRENGTHS))):
        draw.text((left + column * (shape[1] + 1) * scale, 1), heading, "black", font)
    for row, word in enumerate(words):
        if row == 0 or word != words[row - 1]:
            draw.text((_MARGIN, _HEADING + row * (shape[0] + 1) * scale), word, "black", font)
    legend.save(path)


def write_attributes(model: VAE[Any], config: TrialConfig, data: Data, directory: Path) -> None:
    """Writes attributes.txt or attributes.png: test examples changed towards each label, away from all others.

    Nothing where the data have no two labels, the model is told them, codes cannot be added, or ``evaluation.samples`` is 0.
    """
    directions = isinstance(model.posterior.space, Euclidean) and model.condition is None
    if data.labels is None or len(data.labels) < 2 or not directions or config.evaluation.samples == 0:
        return
    directory.mkdir(parents=True, exist_ok=True)
    means, count = LabelMeans.of(model, data), min(_SHOWN, config.evaluation.samples)
    found = {name: changed(model, data, means, number, None, count) for number, name in enumerate(data.labels[:_LABELS])}
    changes = {name: change for name, change in found.items() if change is not None}
    if isinstance(data, TextData):
        assert isinstance(config.data, TextConfig)
        blocks = []
        for name, change in changes.items():
            blocks += [f"label  {name}\n{block}" for block in changed_text(model, data, change, config.data.max_length)]
        title = "Test sentences, and the most likely words as the mean code of a label, less that of all others, is added."
        write_lines(directory / "attributes.txt", title, blocks)
    elif changes:
        images = np.concatenate([changed_images(model, data, change) for change in changes.values()])
        rows = [name for name, change in changes.items() for _ in change.index]
        write_picture(images, data.shape, directory / "attributes.png", rows)

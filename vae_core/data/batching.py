"""Which examples make a batch, and what a batch is.

Like all that loads data, this imports torch only where it draws: a sweep's driver loads them without it.

Legend: B examples, T positions (the longest sentence and its ``</s>``), n words of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vae_core.data.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

POOL = 50
"""Batches that are sorted by length together. Measured on sentences: padded to real tokens 1.02, against 2.25 unsorted."""


@dataclass(frozen=True, eq=False)
class TextBatch:
    """Sentences, padded on the right; new tensors, which may be written to."""

    inputs: Tensor
    """int64 (B, T): ``<s>`` w1 .. wn, then padding."""
    targets: Tensor
    """int64 (B, T): w1 .. wn ``</s>``, then padding."""
    mask: Tensor
    """bool (B, T): True where there is a target."""
    lengths: Tensor
    """int64 (B,): n + 1."""
    labels: Tensor | None = None
    """int64 (B,): each sentence's label by number; None where the data have none."""

    @property
    def size(self) -> int:
        """B."""
        return self.inputs.shape[0]

    @cached_property
    def tokens(self) -> int:
        """Targets, ``</s>`` counted and padding not."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> TextBatch:
        """The same batch there."""
        inputs, targets, mask, lengths = (part.to(device) for part in (self.inputs, self.targets, self.mask, self.lengths))
        moved = TextBatch(inputs, targets, mask, lengths, None if self.labels is None else self.labels.to(device))
        moved.__dict__["tokens"] = self.tokens  # counted before the move: reading it from a GPU would wait for the GPU
        return moved


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Images; a new tensor, which may be written to."""

    pixels: Tensor
    """float32 (B, pixels of an image), in [0, 1]."""
    labels: Tensor | None = None
    """int64 (B,): each image's label by number; None where the data have none."""

    @property
    def size(self) -> int:
        """B."""
        return self.pixels.shape[0]

    def to(self, device: torch.device | str) -> ImageBatch:
        """The same batch there."""
        return ImageBatch(self.pixels.to(device), None if self.labels is None else self.labels.to(device))


Batch = TextBatch | ImageBatch


def plan_bucketed(lengths: npt.NDArray[np.int64], batch_size: int, generator: Generator | None) -> list[npt.NDArray[np.int64]]:
    """Batches of like lengths: every example once, in exactly ceil(n / batch_size) batches.

    With a generator: shuffled, sorted by length within pools of 50 batches, and the batches shuffled. One batch is smaller
    where batch_size does not divide n; which one of its pool is drawn, for it would otherwise always hold the longest
    sentences, whose weight in the epoch would then be too high. Without: by rising length, ties as stored.

    Args:
        lengths: (n,).
        batch_size: at least 1.
        generator: draws the order; None: none is drawn.
    """
    n, count = len(lengths), _batches(len(lengths), batch_size)
    if generator is None:
        return _cut(np.argsort(lengths, kind="stable"), np.full(max(count - 1, 0), batch_size).cumsum())
    order = _shuffled(n, generator)
    pools = np.arange(n) // (POOL * batch_size)
    order = order[np.lexsort((lengths[order], pools))]
    sizes = np.full(count, batch_size)
    if short := n % batch_size:
        first = (count - 1) // POOL * POOL
        sizes[_drawn(first, count, generator)] = short
    batches = _cut(order, sizes[:-1].cumsum())
    return [batches[place] for place in _shuffled(count, generator).tolist()]


def plan_shuffled(n: int, batch_size: int, generator: Generator | None) -> list[npt.NDArray[np.int64]]:
    """Every one of n examples once, in exactly ceil(n / batch_size) batches; without a generator in their own order."""
    count = _batches(n, batch_size)
    order = np.arange(n) if generator is None else _shuffled(n, generator)
    return _cut(order, np.full(max(count - 1, 0), batch_size).cumsum())


def require_batch(data: TextData | ImageData, batch_size: int) -> None:
    """Checks that train fills at least one batch.

    Raises:
        DataError: it does not; a smaller batch would be trained on than was asked for.
    """
    n = len(data.splits["train"])
    if n < batch_size:
        raise DataError(
            f"training.batch_size is {batch_size}, but train of {data.name} has {n} example{'' if n == 1 else 's'}:"
            f" give at most {n}, or more data"
        )


def _shuffled(n: int, generator: Generator) -> npt.NDArray[np.int64]:
    import torch

    return torch.randperm(n, generator=generator).numpy()


def _drawn(low: int, high: int, generator: Generator) -> int:
    import torch

    return int(torch.randint(low, high, (), generator=generator))


def _batches(n: int, batch_size: int) -> int:
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    return ceil(n / batch_size)


def _cut(order: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.split(order, places) if len(order) else []

"""Dropout of units, of words and of word types: pure functions of their input, a rate and a generator.

p = 0 draws nothing and gives the input back; whether it is training is the caller's decision, who hands in 0 in evaluation.
What is kept is scaled by 1 / (1 - p) ("inverted"), and Gaussian noise has mean 1, so that expectations stay; word dropout scales
nothing. Generators live on the device of what they drop.

Shapes: B sequences, T time steps, E features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

Noise = Literal["bernoulli", "gaussian"]


def dropout(x: Tensor, p: float, generator: Generator, noise: Noise = "bernoulli") -> Tensor:
    """Dropout (Srivastava et al. 2014): multiplies each entry by noise of mean 1 and variance p / (1 - p), 0 <= p < 1; any shape.

    ``bernoulli`` is 0 with probability p, else 1 / (1 - p); ``gaussian`` is normal (sec. 10; Kingma et al. 2015).
    """
    return x if p == 0 else x * _MASKS[noise](x.shape, p, generator, x.dtype)


def locked_mask(shape: Sequence[int], p: float, generator: Generator, dtype: torch.dtype | None = None) -> Tensor:
    """A mask of variational dropout (Gal & Ghahramani 2016): 0 with probability p, else 1 / (1 - p); 0 <= p < 1.

    Drawn once a sequence and multiplied in at each time step: ``shape`` is (B, E) in a loop over steps, (B, 1, E) for all at
    once. All ones where p = 0.
    """
    return torch.ones(*shape, dtype=dtype, device=generator.device) if p == 0 else _mask(shape, p, generator, dtype)


def word_dropout(tokens: Tensor, p: float, unk: int, keep_ids: Sequence[int], generator: Generator) -> Tensor:
    """Word dropout (Bowman et al. 2016): replaces each token by ``unk`` with probability p, 0 <= p <= 1; int64 (B, T).

    ``keep_ids`` are never replaced: <s> and padding.
    """
    if p == 0:
        return tokens
    dropped = torch.rand(tokens.shape, generator=generator, device=generator.device) < p
    for kept in keep_ids:
        dropped &= tokens != kept
    return tokens.masked_fill(dropped, unk)


def embedding_dropout(vectors: Tensor, tokens: Tensor, p: float, generator: Generator) -> Tensor:
    """Embedding dropout (Gal & Ghahramani 2016): zeroes with probability p all vectors of a word type, 0 <= p < 1.

    Args:
        vectors: the embedded tokens, (B, T, E).
        tokens: their ids, int64 (B, T). Only the types in the batch are drawn for, in the order of their ids.
    """
    if p == 0:
        return vectors
    types, place = torch.unique(tokens, return_inverse=True)
    return vectors * _mask(types.shape, p, generator, vectors.dtype)[place].unsqueeze(-1)


def _mask(shape: Sequence[int], p: float, generator: Generator, dtype: torch.dtype | None) -> Tensor:
    _check(p)
    keep = torch.empty(*shape, dtype=dtype, device=generator.device).bernoulli_(1 - p, generator=generator)
    return keep.div_(1 - p)


def _gaussian_mask(shape: Sequence[int], p: float, generator: Generator, dtype: torch.dtype | None) -> Tensor:
    _check(p)
    return torch.randn(*shape, generator=generator, dtype=dtype, device=generator.device).mul_((p / (1 - p)) ** 0.5).add_(1.0)


def _check(p: float) -> None:
    assert 0 < p < 1, f"a dropout rate of {p} keeps nothing that could be scaled"


_MASKS: Mapping[Noise, Callable[[Sequence[int], float, Generator, torch.dtype | None], Tensor]] = {
    "bernoulli": _mask,
    "gaussian": _gaussian_mask,
}

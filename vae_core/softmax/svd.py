"""The SVD softmax: a preview of all logits in few dimensions, the best ones recomputed; for a trained head, and not to train.

Shapes: N tokens, D features, V vocabulary size, W dimensions of the preview, n words recomputed; A the head's weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_core.softmax.full import FullHead

WITNESSES = 64
"""The most frequent words, of which every training step moves some."""
ROWS = 2**14
"""Rows of the weight that are taken to float64 at a time."""


class StaleError(RuntimeError):
    """The head was trained on since its weight was decomposed."""


class SvdHead:
    """SVD softmax (Shim et al. 2017) of a trained head, for evaluation and generation.

    With the decomposition A = U S X^T, B = U S and h' = X^T h give the same logits B h', in dimensions of falling weight. The
    first W give a preview of all V logits; the n highest are then computed in full. Exact at W = D or n = V.

    B = A X, so that X suffices: the eigenvectors of A^T A, D x D. The bias is read from the head each time, but the decomposition
    belongs to the weight as it was: after an update ``log_probs`` refuses until ``refresh``. An update is seen by the weight's
    place in memory, its version counter and its first rows, for torch's fused optimisers leave the counter as it was.

    Args:
        head: any head with a full softmax, whatever it was trained with.
        width: W, dimensions of the preview.
        top: n, words recomputed exactly.

    Raises:
        ValueError: W is not in 1 .. D, or n not in 1 .. V.
    """

    def __init__(self, head: FullHead, width: int, top: int) -> None:
        vocabulary, features = head.weight.shape
        if not 1 <= width <= features:
            raise ValueError(f"width: {width} must lie between 1 and the {features} features that the head reads")
        if not 1 <= top <= vocabulary:
            raise ValueError(f"top: {top} must lie between 1 and the {vocabulary} words of the vocabulary")
        self.head, self.width, self.top = head, width, top
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Decomposes the head's weight as it is now; O(V D^2)."""
        weight = self.head.weight.detach()
        gram = sum((rows.T @ rows for rows in (part.double() for part in torch.split(weight, ROWS))), torch.tensor(0.0))
        ascending = torch.linalg.eigh(gram).eigenvectors
        self._basis = ascending.flip(1)[:, : self.width].to(weight.dtype)
        """The first W columns of X, (D, W)"""
        self._preview = weight @ self._basis
        """The first W columns of B, (V, W)"""
        self._seen = (self.head.weight, weight.data_ptr(), weight._version)
        self._witnesses = weight[:WITNESSES].clone()

    @property
    def stale(self) -> bool:
        """Whether the weight was updated, moved or replaced since it was decomposed."""
        weight = self.head.weight
        tensor, place, version = self._seen
        same = weight is tensor and weight.data_ptr() == place and weight._version == version
        return not same or not torch.equal(weight[:WITNESSES], self._witnesses)

    @torch.no_grad()
    def log_probs(self, hidden: Tensor) -> Tensor:
        """Log probabilities, normalised, (N, D) -> (N, V): nearly the head's own.

        Raises:
            StaleError: the weight was updated since ``refresh``.
        """
        if self.stale:
            raise StaleError("the weight has changed since it was decomposed: call refresh() first")
        logits = torch.addmm(self.head.bias, hidden @ self._basis, self._preview.T)
        best = logits.topk(self.top, dim=1).indices  # (N, n)
        rows = nn.functional.embedding(best, self.head.weight)  # (N, n, D)
        exact = torch.baddbmm(self.head.bias[best].unsqueeze(2), rows, hidden.unsqueeze(2)).squeeze(2)
        return logits.scatter_(1, best, exact).log_softmax(1)

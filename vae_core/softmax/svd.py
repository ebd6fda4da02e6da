"""The SVD softmax: a preview of all logits in few dimensions, the best ones recomputed; for a trained head, and not to train.

Shapes: N tokens, D features, V vocabulary size, W dimensions of the preview, n words recomputed; A the head's weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_core.softmax.full import FullHead
from vae_core.softmax.head import SoftmaxHead

WITNESSES = 64
"""The most frequent words, of which every training step moves some."""
ROWS = 2**14
"""Rows of the weight that are taken to float64 at a time."""
ENTRIES = 2**24
"""Numbers of logits and gathered rows, roughly, that scoring holds at a time."""


class StaleError(RuntimeError):
    """The head was trained on since its weight was decomposed."""


def require_full(head: SoftmaxHead, width: int, top: int) -> FullHead:
    """The head, where an SVD softmax of these sizes can stand in for it.

    Raises:
        ValueError: it is scored by no full softmax, W is not in 1 .. D, or n not in 1 .. V.
    """
    if not isinstance(head, FullHead) or type(head).log_probs is not FullHead.log_probs:
        raise ValueError("an SVD stands in for a full softmax, and this head is scored by another")
    vocabulary, features = head.weight.shape
    if not 1 <= width <= features:
        raise ValueError(f"width: {width} must lie between 1 and the {features} features that the head reads")
    if not 1 <= top <= vocabulary:
        raise ValueError(f"top: {top} must lie between 1 and the {vocabulary} words of the vocabulary")
    return head


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
        ValueError: see ``require_full``.
    """

    def __init__(self, head: SoftmaxHead, width: int, top: int) -> None:
        self.head, self.width, self.top = require_full(head, width, top), width, top
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

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Negative log probability of each token in nats, (N, D), (N,) -> (N,); some tokens at a time.

        Raises:
            StaleError: see ``log_probs``.
        """
        vocabulary, features = self.head.weight.shape
        rows = max(1, ENTRIES // (vocabulary + self.top * features))
        parts = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        return torch.cat([-self.log_probs(part).gather(1, words.unsqueeze(1)).squeeze(1) for part, words in parts])

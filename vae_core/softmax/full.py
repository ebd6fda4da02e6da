"""The full softmax, and the exact negative log likelihood that the other members share.

Shapes: N tokens, D features, V classes, C classes of one chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from vae_core.precision import add_product, affine, product_dtype, widened, write_product
from vae_core.softmax.head import HeadSizes, SoftmaxHead

FEWEST_COLUMNS = 128
"""Narrower chunks would waste the matrix product; N x 128 is of the order of the hidden states themselves."""
KEPT_LOGITS = 2**24
"""Up to so many logits (64 MiB in float32) are kept for the backward; more are computed anew."""


class FullHead(SoftmaxHead):
    """Full softmax (Bridle 1990): log p(w | h) = h W_w + b_w - logsumexp_v(h W_v + b_v).

    The bias starts at 0, the weight (unless tied) uniform in +-1/sqrt(D).
    """

    normalised = True
    weight: nn.Parameter
    """(V, D)"""
    bias: nn.Parameter
    """(V,)"""

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        shape = (sizes.vocabulary, sizes.features)
        assert sizes.tied is None or sizes.tied.shape == shape, f"the shared table is {tuple(sizes.tied.shape)}, not {shape}"
        self.weight = uniform_parameter(*shape, sizes.generator) if sizes.tied is None else sizes.tied
        self.bias = nn.Parameter(torch.zeros(sizes.vocabulary))

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator | None = None) -> Tensor:
        return self.nll(hidden, targets)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return linear_nll(hidden, self.weight, self.bias, targets)

    def log_probs(self, hidden: Tensor) -> Tensor:
        return widened(nn.functional.linear(hidden, self.weight, self.bias)).log_softmax(-1)


def linear_nll(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, columns: int | None = None, keep: bool | None = None
) -> Tensor:
    """-log softmax(h W^T + b)[target] of each token, (N, D), (V, D), (V,), (N,) -> (N,); differentiable once.

    Works through ``columns`` classes at a time, forward and backward, so that a chunk stays in the cache and N x V memory is
    never needed: where the logits are too many to ``keep``, the backward computes them anew, a fourth matrix product.
    None: chosen by device and size. Neither changes the value. Under autocast the products are in its type, and all else is not.
    """
    if columns is None:
        entries = 2**18 if hidden.device.type == "cpu" else 2**24
        columns = max(FEWEST_COLUMNS, entries // max(1, len(hidden)))
    if keep is None:
        keep = torch.is_grad_enabled() and len(hidden) * len(weight) <= KEPT_LOGITS
    arguments = (widened(hidden), weight, bias, targets, columns, keep, product_dtype(hidden))
    nll: Tensor = _LinearNll.apply(*arguments)  # type: ignore[no-untyped-call]  # torch's own
    return nll


def uniform_parameter(rows: int, features: int, generator: Generator) -> nn.Parameter:
    """A weight (rows, features), uniform in +-1/sqrt(features)."""
    bound = features**-0.5
    return nn.Parameter(torch.empty(rows, features).uniform_(-bound, bound, generator=generator))


class _LinearNll(torch.autograd.Function):
    """With p = softmax(h W^T + b) and incoming g: dh = g (p W - W_t), dW = (g (p - 1_t))^T h, db = sum_n g (p - 1_t).

    A chunk has e = exp(logit - m), m its own maximum of each token, so that it is gone through once: p = e exp(m - normaliser).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        columns: int,
        keep: bool,
        dtype: torch.dtype | None,
    ) -> Tensor:
        target_logits = (hidden * weight.index_select(0, targets)).sum(1) + bias.index_select(0, targets)
        factor = hidden if dtype is None else hidden.to(dtype)
        normaliser = torch.full_like(target_logits, -torch.inf)
        kept: list[Tensor] = []
        for rows, offsets in zip(torch.split(weight, columns), torch.split(bias, columns), strict=True):
            highest, exponentials = _exponentials(factor, rows, offsets, dtype)
            normaliser = torch.logaddexp(normaliser, exponentials.sum(1).log_().add_(highest))
            if keep:
                kept += [highest, exponentials]
        ctx.save_for_backward(hidden, weight, bias, targets, normaliser, *kept)
        ctx.columns, ctx.dtype = columns, dtype
        return normaliser - target_logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, normaliser, *kept = ctx.saved_tensors
        factor = hidden if ctx.dtype is None else hidden.to(ctx.dtype)
        scale = grad.unsqueeze(1)
        grad_hidden = weight.index_select(0, targets) * -scale
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        chunks = zip(*(torch.split(tensor, ctx.columns) for tensor in (weight, bias, grad_weight, grad_bias)), strict=True)
        saved = iter(zip(kept[::2], kept[1::2], strict=True))
        for rows, offsets, grad_rows, grad_offsets in chunks:
            highest, exponentials = next(saved) if kept else _exponentials(factor, rows, offsets, ctx.dtype)
            scaled = exponentials * torch.exp(highest - normaliser).mul_(grad).unsqueeze(1)  # g p, (N, C)
            torch.sum(scaled, 0, out=grad_offsets)
            scaled = scaled if ctx.dtype is None else scaled.to(ctx.dtype)
            add_product(grad_hidden, scaled, rows, ctx.dtype)
            write_product(grad_rows, scaled.T, factor, ctx.dtype)
        grad_weight.index_add_(0, targets, hidden * scale, alpha=-1)
        grad_bias.index_add_(0, targets, grad, alpha=-1)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def _exponentials(hidden: Tensor, rows: Tensor, offsets: Tensor, dtype: torch.dtype | None) -> tuple[Tensor, Tensor]:
    """The highest logit m of each token among these classes (N,), and exp(logit - m) of all (N, C); at least one of them is 1."""
    logits = affine(offsets, hidden, rows.T, dtype)
    highest = logits.amax(1)
    return highest, logits.sub_(highest.unsqueeze(1)).exp_()

"""The full softmax a few tokens at a time, its gradients computed on the way.

Shapes: N tokens, D features, V classes, R tokens of one chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vae_core.precision import add_product, affine, product_dtype, widened
from vae_core.softmax.config import ChunkedSoftmax
from vae_core.softmax.full import FullHead
from vae_core.softmax.head import HeadSizes


class ChunkedHead(FullHead):
    """Full softmax in chunks of tokens, with the gradients computed in the forward pass (Hsu et al. 2024, Liger Kernel).

    The full softmax goes through classes: it either keeps N x V logits for the backward or computes them twice. Here a chunk of
    R x V logits gives its share of the gradients at once and is gone: three matrix products, whatever the size, and R x V + V x D
    memory. The price: the gradients are made for tokens of equal weight, as in a mean over examples, and only scaled in the
    backward. Where the weights differ, as in an importance-weighted bound, the backward goes through the chunks anew.
    """

    def __init__(self, config: ChunkedSoftmax, sizes: HeadSizes) -> None:
        super().__init__(sizes)
        self.chunk_bytes = int(config.chunk_mib * 2**20)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        rows = max(1, self.chunk_bytes // (len(self.weight) * hidden.element_size()))
        return chunked_nll(hidden, self.weight, self.bias, targets, rows)


def chunked_nll(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, rows: int) -> Tensor:
    """-log softmax(h W^T + b)[target] of each token, (N, D), (V, D), (V,), (N,) -> (N,); differentiable once.

    Works through ``rows`` tokens at a time, which does not change the value. Under autocast the products are in its type, and all
    else is not.
    """
    arguments = (widened(hidden), weight, bias, targets, rows, product_dtype(hidden), torch.is_grad_enabled())
    nll: Tensor = _ChunkedNll.apply(*arguments)  # type: ignore[no-untyped-call]  # torch's own
    return nll


class _ChunkedNll(torch.autograd.Function):
    """With p = softmax(h W^T + b) and incoming g: dh = g (p W - W_t), dW = (g (p - 1_t))^T h, db = sum_n g (p - 1_t)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        rows: int,
        dtype: torch.dtype | None,
        train: bool,
    ) -> Tensor:
        scale = torch.ones_like(hidden[:, 0]) if train else None
        nll, gradients = _nll_and_gradients(hidden, weight, bias, targets, rows, dtype, scale)
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.rows, ctx.dtype, ctx.gradients = rows, dtype, gradients
        return nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        gradients, ctx.gradients = ctx.gradients, None  # handed on, not copied: a second backward makes its own
        common = grad[:1].sum()
        equal = bool((grad == common).all())
        if gradients is None or not equal:
            scale = torch.ones_like(grad) if equal else grad
            _, gradients = _nll_and_gradients(hidden, weight, bias, targets, ctx.rows, ctx.dtype, scale)
        if equal:
            gradients = [gradient.mul_(common) for gradient in gradients]
        return *gradients, None, None, None, None


def _nll_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    rows: int,
    dtype: torch.dtype | None,
    scale: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """The loss of each token (N,), and the gradients of ``scale`` @ loss by hidden, weight and bias; none without a scale."""
    target_rows = weight.index_select(0, targets)
    target_logits = (hidden * target_rows).sum(1) + bias.index_select(0, targets)
    normaliser = torch.empty_like(target_logits)
    gradients = [] if scale is None else [target_rows.mul_(-scale.unsqueeze(1)), torch.zeros_like(weight), torch.zeros_like(bias)]
    for start in range(0, len(hidden), rows):
        chunk = slice(start, start + rows)
        logits = affine(bias, hidden[chunk], weight.T, dtype)
        highest = logits.amax(1)
        exponentials = logits.sub_(highest.unsqueeze(1)).exp_()  # in place from here on: one R x V at a time
        sums = exponentials.sum(1)
        normaliser[chunk] = sums.log() + highest
        if scale is not None:
            grad_hidden, grad_weight, grad_bias = gradients
            scaled = exponentials.mul_((scale[chunk] / sums).unsqueeze(1))  # g p, (R, V)
            add_product(grad_hidden[chunk], scaled, weight, dtype)
            add_product(grad_weight, scaled.T, hidden[chunk], dtype)
            grad_bias.add_(scaled.sum(0))
    if scale is not None:
        gradients[1].index_add_(0, targets, hidden * scale.unsqueeze(1), alpha=-1)
        gradients[2].index_add_(0, targets, scale, alpha=-1)
    return normaliser - target_logits, gradients

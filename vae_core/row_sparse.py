"""Gradients that hold only the rows which a step has read: of word vectors, and of softmaxes that look at few classes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from vae_core.softmax.head import ReadsFewRows


def make_row_sparse(model: nn.Module) -> list[nn.Parameter]:
    """From now on these parameters of the model get sparse gradients; each is given once.

    They are the tables of words and labels, and weight and bias of a softmax that reads few classes a step. A tied table is
    sparse as long as all that reads it is.
    """
    found: dict[nn.Parameter, None] = {}  # a set that keeps the order
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = True
            assert isinstance(module.weight, nn.Parameter)
            found[module.weight] = None
        elif isinstance(module, ReadsFewRows):
            module.sparse = True
            found[module.weight] = found[module.bias] = None
    return list(found)


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scales all gradients by one factor so that their common norm is ``max_norm`` at most.

    ``torch.nn.utils.clip_grad_norm_``, which knows no sparse gradients. A row that one holds in several parts is added up first.
    """
    entries = [_entries(parameter) for parameter in parameters if parameter.grad is not None]
    factor = (max_norm / (get_total_norm(entries) + 1e-6)).clamp(max=1.0)
    if factor.device.type == "cpu" and factor == 1.0:  # a GPU would have to be waited for to know
        return
    for part in entries:
        part.mul_(factor)


def _entries(parameter: nn.Parameter) -> Tensor:
    """The gradient's numbers, to be written to; of a sparse one those that it holds."""
    gradient = parameter.grad
    assert gradient is not None
    if not gradient.is_sparse:
        return gradient
    parameter.grad = gradient = gradient.coalesce()
    return gradient.values()

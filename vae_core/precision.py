"""Matrix products in bfloat16, and all else in float32 (Micikevicius et al. 2018; Kalamkar et al. 2019).

Autocast is on around encoder and decoder in training, and nowhere else. Which sums and exponentials it takes in float32
depends on the device (on a CPU none), so that what needs float32 says so: it is handed ``widened`` numbers. A function with a
backward of its own asks for ``product_dtype`` once and hands it to its products, for autocast is off in the backward.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Generator, Tensor

PRECISIONS: Mapping[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""What the products of training are taken in, by the names of the config; None: in what the weights have."""


def autocast(dtype: torch.dtype | None, generator: Generator | None) -> AbstractContextManager[None]:
    """A context whose matrix products are taken in ``dtype``, where there is one and training's generator is there."""
    if dtype is None or generator is None:
        return nullcontext()
    on: AbstractContextManager[None] = torch.autocast(generator.device.type, dtype=dtype)
    return on


def product_dtype(like: Tensor) -> torch.dtype | None:
    """What autocast takes products on this device in; None where it is off."""
    device = like.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def widened(x: Tensor) -> Tensor:
    """In float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def affine(bias: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype | None) -> Tensor:
    """bias + a b, the product taken in ``dtype``; a new tensor of the bias's own."""
    return torch.addmm(bias, a, b) if dtype is None else (a.to(dtype) @ b.to(dtype)).to(bias.dtype).add_(bias)


def write_affine(result: Tensor, bias: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype | None) -> None:
    """result = bias + a b, the product taken in ``dtype``."""
    if dtype is None:
        torch.addmm(bias, a, b, out=result)
    else:
        torch.add(a.to(dtype) @ b.to(dtype), bias, out=result)


def add_product(total: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype | None) -> None:
    """total += a b, the product taken in ``dtype`` and added in the total's own."""
    if dtype is None:
        total.addmm_(a, b)
    else:
        total.add_(a.to(dtype) @ b.to(dtype))


def write_product(result: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype | None) -> None:
    """result = a b, the product taken in ``dtype``."""
    if dtype is None:
        torch.mm(a, b, out=result)
    else:
        result.copy_(a.to(dtype) @ b.to(dtype))

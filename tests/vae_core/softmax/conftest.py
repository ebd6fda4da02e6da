"""Sizes for heads, and a way to watch how much memory they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vae_core.softmax.head import HeadSizes

MakeSizes = Callable[..., HeadSizes]


@pytest.fixture
def make_sizes() -> MakeSizes:
    """(features, vocabulary, tied=False, seed=0) -> sizes with Zipf's counts, the last two of them 0; float32 tables."""

    def make(features: int, vocabulary: int, tied: bool = False, seed: int = 0) -> HeadSizes:
        generator = torch.Generator().manual_seed(seed)
        counts = 100_000 // np.arange(1, vocabulary + 1)
        counts[-2:] = 0
        table = nn.Parameter(torch.randn(vocabulary, features, generator=generator)) if tied else None
        return HeadSizes(features, counts, table, generator)

    return make


class ShapeLog(TorchDispatchMode):
    """Notes the shape of every tensor that an operation makes or writes, forward and backward; views are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[str, tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self.shapes.append((str(func), tuple(tensor.shape)))
        return result

    @property
    def largest(self) -> int:
        """Entries of the largest of them."""
        return max(int(np.prod(shape)) for _, shape in self.shapes)


@pytest.fixture
def shape_log() -> ShapeLog:
    return ShapeLog()

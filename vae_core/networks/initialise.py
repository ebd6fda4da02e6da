"""Layers whose first weights come from an explicit generator; torch's own constructors would draw from the global one."""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import Generator, nn

Cell = Literal["lstm", "gru"]
_Layer = TypeVar("_Layer", bound=nn.Module)


def linear(inputs: int, outputs: int, generator: Generator | None) -> nn.Linear:
    """y = W x + b, all U(-1/sqrt(inputs), 1/sqrt(inputs)), torch's own scale."""
    return _filled(nn.Linear(inputs, outputs, device="meta"), 1.0 / math.sqrt(inputs), generator)


def embedding(words: int, width: int, generator: Generator | None) -> nn.Embedding:
    """Word vectors, U(-0.1, 0.1): small enough that tied output logits start near uniform."""
    return _filled(nn.Embedding(words, width, device="meta"), 0.1, generator)


def recurrent(cell: Cell, inputs: int, hidden: int, generator: Generator | None) -> nn.LSTM | nn.GRU:
    """One batch-first layer, all weights U(-1/sqrt(hidden), 1/sqrt(hidden)), torch's own scale."""
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    return _filled(kind(inputs, hidden, batch_first=True, device="meta"), 1.0 / math.sqrt(hidden), generator)


def _filled(layer: _Layer, bound: float, generator: Generator | None) -> _Layer:
    layer = layer.to_empty(device="cpu")  # built on "meta", where torch's initialisation draws nothing
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer

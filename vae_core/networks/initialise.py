"""Layers whose first weights come from an explicit generator; torch's own constructors would draw from the global one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeVar

import torch
from torch import Generator, Tensor, nn

from vae_core.networks.initialisation import AnyInitialisation, DefaultInitialisation, OrthogonalInitialisation
from vae_core.networks.word_vectors import WordTable

Cell = Literal["lstm", "gru"]
Layer = nn.Linear | nn.LSTM | nn.GRU | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d
_LayerT = TypeVar("_LayerT", bound=nn.Module)


def linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    """y = W x + b, all U(-1/sqrt(inputs), 1/sqrt(inputs)), torch's own scale."""
    return _filled(nn.Linear(inputs, outputs, device="meta"), 1.0 / math.sqrt(inputs), generator)


def embedding(words: int, width: int, generator: Generator) -> WordTable:
    """Word vectors, U(-0.1, 0.1): small enough that tied output logits start near uniform."""
    nothing = torch.empty(words, width, device="meta")  # or torch would draw: on "meta" in Python, which imports its compiler
    return _filled(WordTable(words, width, _weight=nothing), 0.1, generator)


def recurrent(cell: Cell, inputs: int, hidden: int, generator: Generator) -> nn.LSTM | nn.GRU:
    """One batch-first layer, all weights U(-1/sqrt(hidden), 1/sqrt(hidden)), torch's own scale."""
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    return _filled(kind(inputs, hidden, batch_first=True, device="meta"), 1.0 / math.sqrt(hidden), generator)


def halving(inputs: int, outputs: int, kernel: int, generator: Generator) -> nn.Conv2d:
    """A convolution of stride 2, (B, inputs, H, W) -> (B, outputs, ceil(H/2), ceil(W/2)), all U(+-1/sqrt(fan in)); odd kernel."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, device="meta")
    return _filled(layer, 1.0 / math.sqrt(_fans(layer)[0]), generator)


def doubling(inputs: int, outputs: int, kernel: int, generator: Generator) -> nn.ConvTranspose2d:
    """A transposed convolution of stride 2, to a size that ``halving`` brings to its input's; all U(+-1/sqrt(fan in))."""
    layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, device="meta")
    return _filled(layer, 1.0 / math.sqrt(_fans(layer)[0]), generator)


def convolution(inputs: int, outputs: int, kernel: int, generator: Generator, dilation: int = 1) -> nn.Conv1d:
    """A convolution over ``kernel`` positions, ``dilation`` apart, without padding; all U(+-1/sqrt(fan in))."""
    layer = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, device="meta")
    return _filled(layer, 1.0 / math.sqrt(_fans(layer)[0]), generator)


def initialise(model: nn.Module, config: AnyInitialisation, generator: Generator) -> None:
    """Draws the weights of every layer anew as the config says, and puts its biases to 0; ``default`` leaves all as built.

    Word vectors, normalisers and the weights of a softmax are no such layers: they stay as they are.
    """
    if isinstance(config, DefaultInitialisation):
        return
    with torch.no_grad():
        for layer in _layers(model):
            for name, parameter in layer.named_parameters():
                if name.startswith("bias"):
                    parameter.zero_()
            for weight, fan_in, fan_out in _matrices(layer):
                if isinstance(config, OrthogonalInitialisation):
                    weight.copy_(config.gain * _orthogonal(weight, generator))
                elif config.distribution == "normal":
                    weight.normal_(0.0, config.std(fan_in, fan_out), generator=generator)
                else:
                    bound = math.sqrt(3.0) * config.std(fan_in, fan_out)
                    weight.uniform_(-bound, bound, generator=generator)


def _layers(module: nn.Module) -> Iterator[Layer]:
    for child in module.children():
        if isinstance(child, Layer):
            yield child
        else:
            yield from _layers(child)


def _matrices(layer: Layer) -> Iterator[tuple[Tensor, float, float]]:
    """Views of the weights as (outputs, inputs, ...), those of a recurrent layer gate by gate, each with its fans in and out."""
    if isinstance(layer, nn.LSTM | nn.GRU):
        for name, weight in layer.named_parameters():
            if name.startswith("weight"):
                yield from ((gate, gate.shape[1], gate.shape[0]) for gate in torch.split(weight, layer.hidden_size))
    elif isinstance(layer, nn.Linear):
        yield layer.weight, layer.in_features, layer.out_features
    else:
        yield layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight, *_fans(layer)


def _fans(layer: nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d) -> tuple[float, float]:
    """Inputs that an output reads, outputs that an input feeds: with stride s, one of the two meets 1 in s^2 of the kernel."""
    area, stride = math.prod(layer.kernel_size), math.prod(layer.stride)
    fan_in, fan_out = layer.in_channels * area, layer.out_channels * area
    return (fan_in / stride, fan_out) if isinstance(layer, nn.ConvTranspose2d) else (fan_in, fan_out / stride)


def _orthogonal(like: Tensor, generator: Generator) -> Tensor:
    """A matrix of orthonormal rows or columns, evenly distributed (Mezzadri 2007), in the shape of (outputs, inputs, ...)."""
    rows, columns = like.shape[0], like[0].numel()
    drawn = torch.randn(max(rows, columns), min(rows, columns), generator=generator, dtype=like.dtype, device=like.device)
    q, r = torch.linalg.qr(drawn)
    orthonormal: Tensor = q * r.diagonal().sign()
    return (orthonormal.T if rows < columns else orthonormal).reshape(like.shape)


def _filled(layer: _LayerT, bound: float, generator: Generator) -> _LayerT:
    # Built on "meta", where torch's initialisation draws nothing; as by its ``to_empty``, which imports sympy for the strides.
    layer = layer._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer

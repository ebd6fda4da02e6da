"""The likelihood layer: softmax approximations for training, each with an exact score."""

from vae_core.softmax.config import (
    AdaptiveSoftmax,
    AnySoftmax,
    ChunkedSoftmax,
    FullSoftmax,
    HierarchicalSoftmax,
    NegativeSampling,
    NoiseContrastive,
    OneVsEach,
    SampledSoftmax,
    SoftmaxConfig,
)

__all__ = [
    "AdaptiveSoftmax",
    "AnySoftmax",
    "ChunkedSoftmax",
    "FullSoftmax",
    "HierarchicalSoftmax",
    "NegativeSampling",
    "NoiseContrastive",
    "OneVsEach",
    "SampledSoftmax",
    "SoftmaxConfig",
]

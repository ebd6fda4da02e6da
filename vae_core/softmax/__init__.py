"""The likelihood layer: softmax approximations for training, each with an exact score."""

from vae_core.softmax.config import AdaptiveSoftmax, AnySoftmax, FullSoftmax, SampledSoftmax, SoftmaxConfig

__all__ = ["AdaptiveSoftmax", "AnySoftmax", "FullSoftmax", "SampledSoftmax", "SoftmaxConfig"]

"""What reaches the softmax, taken where it is read; a model has no other use for it."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor

from vae_core.data.batching import TextBatch
from vae_core.networks.sentence import SentenceDecoder


def read_outs(decoder: SentenceDecoder, batch: TextBatch, z: Tensor) -> Tensor:
    """What the softmax reads at every position, padding included, without dropout: (K, B, Z) -> (K, B, T, D)."""
    seen: list[Tensor] = []

    def score(hidden: Tensor, targets: Tensor) -> Tensor:
        seen.append(hidden)
        return torch.zeros(targets.shape, dtype=hidden.dtype)

    whole = replace(batch, mask=torch.ones_like(batch.mask), lengths=torch.full_like(batch.lengths, batch.mask.shape[1]))
    with patch.object(decoder.head, "nll", score):
        decoder.nll(whole, z)
    return seen[0].view(len(z), *batch.mask.shape, -1)

"""An LSTM text VAE (Bowman et al. 2016) in plain PyTorch: sentences in a list, a ``DataLoader`` that pads, the full softmax.

Shapes: B sentences, T padded length, V words, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from vae_core.data.text import TextData
from vae_core.model import VAE


class PlainTextVae(nn.Module):
    """Encoder and decoder share their word vectors; the code is the first state and an input at every step."""

    def __init__(self, words: int, embedding: int, hidden: int, latent: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.embedding = nn.Embedding(words, embedding)
        self.encoder = nn.LSTM(embedding, hidden, batch_first=True)
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.start = nn.Linear(latent, hidden)
        self.decoder = nn.LSTM(embedding + latent, hidden, batch_first=True)
        self.output = nn.Linear(hidden, words)

    def forward(self, inputs: Tensor, targets: Tensor, lengths: Tensor, noise: Generator | None = None) -> Tensor:
        """The negative ELBO in nats a sentence: inputs and targets (B, T), lengths (B,)."""
        mean, log_variance = self.encode(targets, lengths)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=noise)
        logits = self.decode(inputs, z)
        distortion = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=self.pad, reduction="sum")
        rate = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (distortion + rate) / len(inputs)

    def encode(self, targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, each (B, Z)."""
        states, _ = self.encoder(self.embedding(targets))
        mean, log_variance = self.posterior(states[torch.arange(len(lengths)), lengths - 1]).chunk(2, dim=-1)
        return mean, log_variance

    def decode(self, inputs: Tensor, z: Tensor) -> Tensor:
        """Logits (B, T, V)."""
        cell = self.start(z)
        vectors = torch.cat([self.embedding(inputs), z.unsqueeze(1).expand(-1, inputs.shape[1], -1)], dim=-1)
        states, _ = self.decoder(vectors, (torch.tanh(cell).unsqueeze(0), cell.unsqueeze(0)))
        logits: Tensor = self.output(states)
        return logits

    def take_weights(self, model: VAE[Any]) -> None:
        """Those of the same model of ours, whose names differ."""
        copy_weights(self.embedding, model.encoder.table)
        copy_weights(self.encoder, model.encoder.layers)
        copy_weights(self.posterior, model.posterior.layer)
        copy_weights(self.start, model.decoder.start)
        copy_weights(self.decoder, model.decoder.layer)
        copy_weights(self.output, model.decoder.head)


def copy_weights(to: nn.Module, of: Any) -> None:
    """Parameters in their order."""
    with torch.no_grad():
        for own, other in zip(to.parameters(), of.parameters(), strict=True):
            own.copy_(other)


def loader(data: TextData, batch_size: int) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
    """Shuffled batches of train: inputs, targets, lengths."""
    train, words = data.splits["train"], data.vocabulary
    tokens = torch.from_numpy(train.tokens.astype("int64"))
    sentences = [tokens[start:stop] for start, stop in zip(train.offsets[:-1], train.offsets[1:], strict=True)]
    collate = partial(_collate, bos=words.bos, eos=words.eos, pad=words.pad)
    return DataLoader(sentences, batch_size, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]


def _collate(sentences: Sequence[Tensor], bos: int, eos: int, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    first, last = torch.tensor([bos]), torch.tensor([eos])
    inputs = pad_sequence([torch.cat([first, sentence]) for sentence in sentences], batch_first=True, padding_value=pad)
    targets = pad_sequence([torch.cat([sentence, last]) for sentence in sentences], batch_first=True, padding_value=pad)
    return inputs, targets, torch.tensor([len(sentence) + 1 for sentence in sentences])

"""Recurrent encoder and decoder of sentences (Bowman et al. 2016).

Shapes: B sentences, T padded length, E width of the word vectors, H hidden units, Z latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.dropout import dropout, locked_mask
from vae_core.networks.cells import run_sequence
from vae_core.networks.config import RecurrentDecoder, RecurrentEncoder
from vae_core.networks.initialise import linear, recurrent
from vae_core.networks.interface import Encoder
from vae_core.networks.sentence import SentenceDecoder, State, embed
from vae_core.softmax.config import SoftmaxConfig


class RecurrentSentenceEncoder(Encoder[TextBatch]):
    """Reads w1 .. wn </s> forwards, and backwards too where the config says; the last true states are the summary."""

    def __init__(self, config: RecurrentEncoder, table: nn.Embedding, generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.table = table
        directions = 2 if config.bidirectional else 1
        # One layer a direction: each reads padding last, so its true last state stands at lengths - 1 and nothing is packed.
        self.layers = nn.ModuleList(
            recurrent(config.kind, table.embedding_dim, config.hidden, generator) for _ in range(directions)
        )
        self.features = directions * config.hidden

    def forward(self, batch: TextBatch, generator: Generator | None) -> Tensor:
        config, rates = self.config, self.config.variational_dropout
        embedded = embed(self.table, batch.targets, config.embedding_dropout, generator)
        embedded = _locked_dropout(embedded, rates.inputs, generator)
        row = torch.arange(batch.size, device=embedded.device)
        last = batch.lengths - 1
        summaries = []
        for direction, layer in enumerate(self.layers):
            assert isinstance(layer, nn.LSTM | nn.GRU)
            if direction == 1:
                mirrored = last.unsqueeze(1) - torch.arange(embedded.shape[1], device=embedded.device)
                embedded = embedded[row.unsqueeze(1), mirrored.clamp(min=0)]
            mask = _hidden_mask(embedded, config.hidden, rates.hidden, generator)
            summaries.append(run_sequence(layer, embedded, None, mask)[0][row, last])
        summary = torch.cat(summaries, 1)
        if generator is not None:  # one state is read, so a locked mask and a fresh one are the same
            summary = dropout(dropout(summary, rates.output, generator), config.dropout, generator)
        return summary


class RecurrentSentenceDecoder(SentenceDecoder):
    """z makes the first state and is an input at every step."""

    config: RecurrentDecoder

    def __init__(
        self,
        config: RecurrentDecoder,
        latent: int,
        table: nn.Embedding,
        softmax: SoftmaxConfig,
        vocabulary: WordList,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.table = table
        self.start = linear(latent, config.hidden, generator)
        self.layer = recurrent(config.kind, table.embedding_dim + latent, config.hidden, generator)
        self._add_softmax(softmax, generator)

    def bytes_per_sample(self, batch: TextBatch) -> int:
        # inputs, gates and states of every step, twice over for temporaries; the head bounds its own
        floats = self.layer.input_size + 6 * self.config.hidden
        return 2 * 4 * batch.inputs.shape[1] * floats

    def first_state(self, z: Tensor) -> State:
        cell = self.start(z)
        return (cell.tanh(), cell) if isinstance(self.layer, nn.LSTM) else (cell.tanh(),)

    def _advance(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        inputs = torch.cat((self.table(words), z), 1).unsqueeze(1)
        states, state = run_sequence(self.layer, inputs, state)
        return states.squeeze(1), state

    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        config, rates = self.config, self.config.variational_dropout
        embedded = embed(self.table, words, config.embedding_dropout, generator)
        embedded = _locked_dropout(embedded, rates.inputs, generator)
        inputs = torch.cat((embedded, z.unsqueeze(1).expand(-1, words.shape[1], -1)), 2)  # z itself is never dropped
        mask = _hidden_mask(embedded, config.hidden, rates.hidden, generator)
        states, _ = run_sequence(self.layer, inputs, self.first_state(z), mask)
        return _locked_dropout(states, rates.output, generator)


def _locked_dropout(sequence: Tensor, rate: float, generator: Generator | None) -> Tensor:
    """One mask a sequence for all its steps, (B, T, E) -> (B, T, E)."""
    if generator is None or rate == 0.0:
        return sequence
    return sequence * locked_mask((len(sequence), 1, sequence.shape[2]), rate, generator, sequence.dtype)


def _hidden_mask(like: Tensor, hidden: int, rate: float, generator: Generator | None) -> Tensor | None:
    return None if generator is None or rate == 0.0 else locked_mask((len(like), hidden), rate, generator, like.dtype)

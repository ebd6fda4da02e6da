"""Convolutional decoder of sentences, whose sight is bounded (Yang et al. 2017).

Shapes: B sentences, T positions, W width, k kernel, d dilation, E width of the word vectors, Z latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import relu

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.dropout import dropout
from vae_core.networks.initialise import convolution, linear
from vae_core.networks.sentence import SentenceDecoder, beside_code
from vae_core.networks.text import State
from vae_core.networks.text_config import CnnDecoder
from vae_core.networks.word_vectors import WordVectors, embed
from vae_core.softmax.config import SoftmaxConfig


class CausalBlock(nn.Module):
    """x + W2 relu(conv(relu(W1 x))) (Yang et al. 2017, fig. 2).

    The convolution reads position t and the k - 1 before it, d apart.
    """

    def __init__(self, config: CnnDecoder, dilation: int, generator: Generator) -> None:
        super().__init__()
        self.rate, self.noise = config.dropout, config.dropout_noise
        self.past = (config.kernel - 1) * dilation
        """Positions before the current one that it reaches back to, and remembers."""
        self.before = linear(config.width, config.width, generator)
        self.convolution = convolution(config.width, config.width, config.kernel, generator, dilation)
        self.after = linear(config.width, config.width, generator)

    def forward(self, x: Tensor, past: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        """(B, T, W), and what the convolution read before them (B, past, W) -> (B, T, W), and what it has read after them."""
        read = torch.cat((past, relu(self.before(x))), 1)
        added = self.after(relu(self.convolution(read.mT).mT))
        if generator is not None:
            added = dropout(added, self.rate, generator, self.noise)
        return x + added, read[:, -self.past :]


class CnnSentenceDecoder(SentenceDecoder):
    """z is concatenated to every word vector; each prediction sees z and the last ``config.context`` words.

    Before ``<s>`` the convolutions read zeros.
    """

    config: CnnDecoder

    def __init__(
        self,
        config: CnnDecoder,
        latent: int,
        table: WordVectors,
        softmax: SoftmaxConfig,
        vocabulary: WordList,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.table = table
        self.inputs = linear(table.embedding_dim + latent, config.width, generator)
        self.blocks = nn.ModuleList(CausalBlock(config, dilation, generator) for dilation in config.dilations)
        self._add_softmax(softmax, generator)

    def bytes_per_sample(self, batch: TextBatch) -> int:
        # inputs and a block's tensors at every position and those remembered, twice over for temporaries; the head bounds its own
        config, length = self.config, batch.inputs.shape[1]
        longest = max(config.dilations) * (config.kernel - 1)
        return 2 * 4 * (length * self.inputs.in_features + (6 * length + 2 * longest) * config.width)

    def first_state(self, z: Tensor) -> State:
        """Zeros, (B, (k - 1) d, W) a block."""
        config = self.config
        return tuple(z.new_zeros(len(z), (config.kernel - 1) * dilation, config.width) for dilation in config.dilations)

    def _advance(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        states, state = self._stack(words.unsqueeze(1), z, state, None)
        return states.squeeze(1), state

    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        return self._stack(words, z, self.first_state(z), generator)[0]

    def _stack(self, words: Tensor, z: Tensor, state: State, generator: Generator | None) -> tuple[Tensor, State]:
        """(B, T), (B, Z) -> (B, T, W), and what each block remembers; z itself is never dropped."""
        vectors = embed(self.table, words, self.config.embedding_dropout, generator)
        x = self.inputs(beside_code(vectors, z))
        after = []
        for block, past in zip(self.blocks, state, strict=True):
            x, past = block(x, past, generator)
            after.append(past)
        return x, tuple(after)

"""Transformer encoder and causal transformer decoder of sentences (Vaswani et al. 2017), normalised before each sub-layer.

Shapes: B sentences, T positions, S positions that are looked at, W width, h heads of d = W / h each, E width of the word vectors,
Z latent dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.dropout import dropout, locked_mask
from vae_core.networks.initialise import linear
from vae_core.networks.interface import Encoder
from vae_core.networks.sentence import SentenceDecoder, beside_code
from vae_core.networks.text import State
from vae_core.networks.text_config import TransformerDecoder, TransformerEncoder, TransformerLayers
from vae_core.networks.word_vectors import WordVectors, embed
from vae_core.precision import widened
from vae_core.softmax.config import SoftmaxConfig


def attend(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, kept: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V (Vaswani et al. 2017, eq. 1): (B, h, T, d), twice (B, h, S, d) -> (B, h, T, d).

    Args:
        visible: bool, broadcast to (B, h, T, S): which position may look at which; None: each at all.
        kept: (B, h, T, S), multiplies the attention weights: their dropout. The fused kernel would draw it from the global
            generator, so with a mask the weights are computed here.
    """
    if kept is None:
        return scaled_dot_product_attention(query, key, value, attn_mask=visible)
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if visible is not None:
        scores = scores.masked_fill(~visible, -torch.inf)
    return (widened(scores).softmax(-1) * kept) @ value


def positions(first: int, count: int, like: Tensor) -> Tensor:
    """Sinusoids of the positions from ``first`` on, (count, W): sin and cos of t / 10000^(2 i / W) (Vaswani et al. 2017, 3.5)."""
    width = like.shape[-1]
    dtype = widened(like[:0]).dtype  # bfloat16 cannot tell 256 from 257
    pair = torch.arange(0, width, 2, device=like.device, dtype=dtype)
    place = torch.arange(first, first + count, device=like.device, dtype=dtype)
    angle = place.unsqueeze(1) * torch.exp(-math.log(10000.0) / width * pair)
    return torch.stack((angle.sin(), angle.cos()), 2).flatten(1)[:, :width]


class Block(nn.Module):
    """x + attention(norm(x)), then x + W2 relu(W1 norm(x)); norms before the sub-layers, where no warm-up is needed
    (Xiong et al. 2020).
    """

    def __init__(self, config: TransformerLayers, generator: Generator) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.before_attention = nn.LayerNorm(width)
        self.query_key_value = linear(width, 3 * width, generator)
        self.mix = linear(width, width, generator)
        self.before_feed_forward = nn.LayerNorm(width)
        self.widen = linear(width, config.feed_forward, generator)
        self.narrow = linear(config.feed_forward, width, generator)

    def forward(self, x: Tensor, visible: Tensor | None, past: State | None, generator: Generator | None) -> tuple[Tensor, State]:
        """(B, T, W) -> (B, T, W), and the keys and values (B, h, S, d) of all positions so far, those of ``past`` first."""
        attended, state = self._attention(self.before_attention(x), visible, past, generator)
        x = x + self._dropped(attended, generator)
        return x + self._dropped(self.narrow(relu(self.widen(self.before_feed_forward(x)))), generator), state

    def _attention(
        self, x: Tensor, visible: Tensor | None, past: State | None, generator: Generator | None
    ) -> tuple[Tensor, State]:
        heads, rate = self.config.heads, self.config.attention_dropout
        query, key, value = self.query_key_value(x).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        kept = None
        if generator is not None and rate > 0.0:
            kept = locked_mask((*query.shape[:3], key.shape[2]), rate, generator, query.dtype)
        return self.mix(attend(query, key, value, visible, kept).transpose(1, 2).flatten(2)), (key, value)

    def _dropped(self, x: Tensor, generator: Generator | None) -> Tensor:
        return x if generator is None else dropout(x, self.config.dropout, generator, self.config.dropout_noise)


class Stack(nn.Module):
    """Linear map of the inputs to W and their positions added; the blocks; a last norm."""

    def __init__(self, inputs: int, config: TransformerLayers, generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.inputs = linear(inputs, config.width, generator)
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self, inputs: Tensor, visible: Tensor | None, past: State | None, generator: Generator | None
    ) -> tuple[Tensor, State]:
        """(B, T, inputs) -> (B, T, W), and the keys and values of every block: key, value, key, value, ..."""
        x = self.inputs(inputs)
        x = x + positions(0 if past is None else past[0].shape[2], x.shape[1], x)
        if generator is not None:
            x = dropout(x, self.config.dropout, generator, self.config.dropout_noise)
        state: list[Tensor] = []
        for place, block in enumerate(self.blocks):
            x, of_block = block(x, visible, None if past is None else past[2 * place : 2 * place + 2], generator)
            state += of_block
        return self.norm(x), tuple(state)


class TransformerSentenceEncoder(Encoder[TextBatch]):
    """Reads w1 .. wn </s>, each word seeing all; the summary is the mean over these positions."""

    def __init__(self, config: TransformerEncoder, table: WordVectors, generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.table = table
        self.stack = Stack(table.embedding_dim, config, generator)
        self.features = config.width

    def forward(self, batch: TextBatch, generator: Generator | None) -> Tensor:
        vectors = _scaled(embed(self.table, batch.targets, self.config.embedding_dropout, generator))
        states, _ = self.stack(vectors, batch.mask[:, None, None, :], None, generator)
        summary: Tensor = (states * batch.mask.unsqueeze(2)).sum(1) / batch.lengths.unsqueeze(1)
        return summary if generator is None else dropout(summary, self.config.dropout, generator, self.config.dropout_noise)


class TransformerSentenceDecoder(SentenceDecoder):
    """Each position sees those before it and itself; z is concatenated to every word vector, that of <s> included."""

    config: TransformerDecoder

    def __init__(
        self,
        config: TransformerDecoder,
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
        self.stack = Stack(table.embedding_dim + latent, config, generator)
        self._add_softmax(softmax, generator)

    def bytes_per_sample(self, batch: TextBatch) -> int:
        # the widest of a block's tensors and its attention weights, twice over for temporaries; the head bounds its own
        config, length = self.config, batch.inputs.shape[1]
        return 2 * 4 * length * (self.stack.inputs.in_features + 6 * config.width + config.feed_forward + config.heads * length)

    def first_state(self, z: Tensor) -> State:
        """No keys and values yet, two (B, h, 0, d) a block."""
        heads = self.config.heads
        return (z.new_zeros(len(z), heads, 0, self.config.width // heads),) * (2 * self.config.layers)

    def _advance(self, words: Tensor, z: Tensor, state: State) -> tuple[Tensor, State]:
        states, state = self.stack(self._inputs(words.unsqueeze(1), z, None), None, state, None)
        return states.squeeze(1), state

    def _unroll(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        length = words.shape[1]
        earlier = torch.ones(length, length, dtype=torch.bool, device=words.device).tril()
        states: Tensor = self.stack(self._inputs(words, z, generator), earlier, None, generator)[0]
        return states

    def _inputs(self, words: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        """Word vectors beside the code, (B, T, E + Z); z itself is never dropped."""
        vectors = _scaled(embed(self.table, words, self.config.embedding_dropout, generator))
        return beside_code(vectors, z)


def _scaled(vectors: Tensor) -> Tensor:
    """Times sqrt(E) (Vaswani et al. 2017, sec. 3.4): tables start small for the softmax's sake, positions have size 1."""
    return vectors * math.sqrt(vectors.shape[-1])

"""Documents as counts of words: encoder and decoder that know no order (Miao et al. 2016; Liang et al. 2018).

Shapes: B documents, T padded length, N words of the batch, K samples, H width of the last hidden layer, Z latent dimensions,
V words of the vocabulary.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vae_core.data.batching import TextBatch
from vae_core.data.vocabulary import WordList
from vae_core.moment import Moment
from vae_core.networks.interface import Encoder
from vae_core.networks.mlp import Mlp
from vae_core.networks.text import Packed, State, TextDecoder
from vae_core.networks.text_config import BagOfWordsDecoder, BagOfWordsEncoder
from vae_core.seeding import Streams
from vae_core.softmax.config import SoftmaxConfig
from vae_core.softmax.head import HeadSizes, ReadsFewRows
from vae_core.softmax.svd import SvdHead


class BagOfWordsTextEncoder(Encoder[TextBatch]):
    """Fully connected layers on a number for each word of the vocabulary; ``</s>`` is not counted."""

    def __init__(self, config: BagOfWordsEncoder, vocabulary: WordList, generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.body = Mlp(len(vocabulary), config, generator)
        self.features = self.body.features

    def forward(self, batch: TextBatch, generator: Generator | None) -> Tensor:
        summary: Tensor = self.body(self.numbers(batch), generator)
        return summary

    def numbers(self, batch: TextBatch) -> Tensor:
        """What is read of the counts, (B, V)."""
        words = _words(batch, self.vocabulary).to(next(self.parameters()).dtype)
        counts = words.new_zeros(batch.size, len(self.vocabulary)).scatter_add(1, batch.targets, words)
        return counts.log1p() if self.config.counts == "log" else counts / counts.sum(1, keepdim=True).clamp(min=1.0)


class BagOfWordsTextDecoder(TextDecoder):
    """-log p(x|z) = -sum over the words w of x of log p(w|z), the multinomial coefficient left out.

    A head that is normalised gives the probabilities of all words once a document. One that is not, or whose gradients are to
    hold few rows, is trained word by word, as it would be in a sentence, and scored like the others.
    """

    predicts_end = False

    def __init__(
        self, config: BagOfWordsDecoder, latent: int, vocabulary: WordList, softmax: SoftmaxConfig, generator: Generator
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.body = Mlp(latent, config, generator)
        self.head = softmax.build(HeadSizes(self.body.features, vocabulary.counts, None, generator))

    def training_nll(self, batch: TextBatch, z: Tensor, moment: Moment, streams: Streams) -> Tensor:
        hidden = self.body(z, streams.dropout)
        if self.head.normalised and not (isinstance(self.head, ReadsFewRows) and self.head.sparse):
            return self._nll(batch, hidden)
        packed, states, targets = self._word_by_word(batch, hidden)
        return packed.sums(self.head.loss(states, targets, streams.negatives))

    def nll(self, batch: TextBatch, z: Tensor) -> Tensor:
        return self._nll(batch, self.body(z, None))

    def nll_and_gap(self, batch: TextBatch, z: Tensor, negatives: Generator) -> tuple[Tensor, Tensor]:
        hidden = self.body(z, None)
        exact = self._nll(batch, hidden)
        return exact, self._gap(exact, lambda: self._word_by_word(batch, hidden), negatives)

    def scored_words(self, batch: TextBatch, z: Tensor) -> tuple[Packed, Tensor, Tensor]:
        return self._word_by_word(batch, self.body(z, None))

    def bytes_per_sample(self, batch: TextBatch) -> int:
        # hidden layers, then logits, their exponentials and log probabilities of all words; the words picked from them
        return 4 * (2 * self.body.units + 3 * len(self.vocabulary) + 3 * batch.targets.shape[1])

    def first_state(self, z: Tensor) -> State:
        """What the softmax reads (B, H), and which words are given out already, bool (B, V): at first those that never are."""
        vocabulary = self.vocabulary
        marks = torch.tensor((vocabulary.bos, vocabulary.eos, vocabulary.pad), device=z.device)
        given = torch.zeros(len(z), len(vocabulary), dtype=torch.bool, device=z.device)
        return self.body(z, None), given.index_fill(1, marks, True)

    def step(self, words: Tensor, z: Tensor, state: State, svd: SvdHead | None = None) -> tuple[Tensor, State]:
        """Gives each word once, the likeliest first where decoding is greedy; ``</s>`` comes when none is left."""
        hidden, given = state[0], state[1].scatter(1, words.unsqueeze(1), True)
        log_probs = (svd or self.head).log_probs(hidden).masked_fill(given, -torch.inf)
        log_probs[:, self.vocabulary.eos] = torch.where(given.all(1), 0.0, -torch.inf).to(log_probs.dtype)
        return log_probs.log_softmax(1), (hidden, given)

    def _nll(self, batch: TextBatch, hidden: Tensor) -> Tensor:
        """(K, B, H) -> (K, B)."""
        log_probs = self.head.log_probs(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1)
        picked = log_probs.gather(2, batch.targets.expand(len(hidden), -1, -1))
        return -picked.masked_fill(~_words(batch, self.vocabulary), 0.0).sum(2)

    def _word_by_word(self, batch: TextBatch, hidden: Tensor) -> tuple[Packed, Tensor, Tensor]:
        """Each word with its document's hidden state, (K, B, H) -> (N, H), (N,)."""
        samples, length = len(hidden), batch.targets.shape[1]
        packed = Packed(_words(batch, self.vocabulary), self.tokens(batch), samples)
        states = packed.select(hidden.flatten(0, 1).unsqueeze(1).expand(-1, length, -1))
        return packed, states, packed.select(batch.targets.repeat(samples, 1))


def _words(batch: TextBatch, vocabulary: WordList) -> Tensor:
    """Where there is a word, and neither ``</s>`` nor padding: bool (B, T)."""
    return batch.mask & (batch.targets != vocabulary.eos)

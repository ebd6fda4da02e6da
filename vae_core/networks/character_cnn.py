"""Word vectors made of characters (Kim et al. 2016).

Shapes: V words, U of them that are computed, L characters of the longest of these with its two marks, C width of a character's
vector, F filters of all widths, E width of a word's vector; ids of any shape (...).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import pad, relu

from vae_core.data.vocabulary import SPECIALS, WordList
from vae_core.networks.initialise import convolution, embedding, linear
from vae_core.networks.word_vectors import WordVectors
from vae_core.networks.word_vectors_config import CharacterCnnVectors

_NOTHING, _START, _END = range(3)
"""Ids of padding and of the marks around a word; characters follow."""
_AT_ONCE = 512
"""Words whose filters are held at a time where no gradient needs them all."""


class Highway(nn.Module):
    """y = t relu(W x + b) + (1 - t) x with t = sigmoid(W_t x + b_t - 2): at first it hands most on (Srivastava et al. 2015)."""

    def __init__(self, width: int, generator: Generator) -> None:
        super().__init__()
        self.change = linear(width, width, generator)
        self.gate = linear(width, width, generator)

    def forward(self, x: Tensor) -> Tensor:
        share = (self.gate(x) - 2.0).sigmoid()  # apart from the bias, which an initialisation may put to 0
        result: Tensor = share * relu(self.change(x)) + (1.0 - share) * x
        return result


class CharacterCnn(WordVectors):
    """The highest tanh of each filter over the places of a word, highway layers, and a linear map to E.

    A place is a character or a mark; a filter reads on to the right of it, zeros beyond the word. What a word's vector is does
    not depend on which others are computed beside it.
    """

    def __init__(self, config: CharacterCnnVectors, vocabulary: WordList, width: int, generator: Generator) -> None:
        super().__init__()
        self.embedding_dim = width
        characters = sorted({character for word in vocabulary.words if word not in SPECIALS for character in word})
        ids = {character: place for place, character in enumerate(characters, start=_END + 1)}
        spelled = [[] if word in SPECIALS else [ids[character] for character in word] for word in vocabulary.words]
        longest = max(map(len, spelled)) + 2
        rows = [[_START, *word, _END, *[_NOTHING] * (longest - len(word) - 2)] for word in spelled]
        self.register_buffer("spelling", torch.tensor(rows, dtype=torch.int32))
        self.register_buffer("special", torch.tensor([vocabulary.index[word] for word in SPECIALS]))
        self.characters = embedding(len(characters) + 3, config.characters, generator)
        counts = [config.filters * reach for reach in config.widths]
        self.filters = nn.ModuleList(
            convolution(config.characters, count, reach, generator) for reach, count in zip(config.widths, counts, strict=True)
        )
        self.highways = nn.ModuleList(Highway(sum(counts), generator) for _ in range(config.highway))
        self.output = linear(sum(counts), width, generator)
        self.specials = embedding(len(SPECIALS), width, generator)
        self._known: tuple[Tensor, Tensor] | None = None

    def forward(self, words: Tensor) -> Tensor:
        types, place = torch.unique(words, return_inverse=True)
        if self._known is None:
            return self._vectors(types)[place]
        vectors, known = self._known
        new = types[~known[types]]
        if len(new):
            vectors[new], known[new] = self._vectors(new), True
        return vectors[words]

    def all(self) -> Tensor:
        return self._vectors(torch.arange(len(self.get_buffer("spelling")), device=self.output.weight.device))

    @contextmanager
    def remembering(self) -> Iterator[None]:
        assert not torch.is_grad_enabled(), "what is remembered has no gradient"
        weight = self.output.weight
        count = len(self.get_buffer("spelling"))
        self._known = (weight.new_empty(count, len(weight)), torch.zeros(count, dtype=torch.bool, device=weight.device))
        try:
            yield
        finally:
            self._known = None

    def _vectors(self, words: Tensor) -> Tensor:
        """(U,) -> (U, E)."""
        parts = (words,) if torch.is_grad_enabled() else torch.split(words, _AT_ONCE)
        spelled = torch.cat([self._spelled(part) for part in parts])
        matches = words.unsqueeze(1) == self.get_buffer("special")
        return torch.where(matches.any(1, keepdim=True), self.specials(matches.int().argmax(1)), spelled)

    def _spelled(self, words: Tensor) -> Tensor:
        """Without regard to the special words, (U,) -> (U, E)."""
        spelling = self.get_buffer("spelling")[words]
        there = spelling != _NOTHING
        longest = int(there.sum(1).max())
        spelling, there = spelling[:, :longest], there[:, :longest].unsqueeze(1)
        letters = self.characters(spelling).mT * there  # (U, C, L)
        highest = []
        for reach in self.filters:
            assert isinstance(reach, nn.Conv1d)
            found = reach(pad(letters, (0, reach.kernel_size[0] - 1))).tanh()
            highest.append(found.masked_fill(~there, -torch.inf).amax(2))
        x = torch.cat(highest, 1)
        for highway in self.highways:
            x = highway(x)
        result: Tensor = self.output(x)
        return result

"""Decoding: how a sentence is read off a model that gives the distribution of each next word.

Every method is a frozen value with the same one function, ``decode``. Those that go word by word differ in ``choose`` alone.

Shapes: B sentences, V words, K beams, L words of the longest sentence. Probabilities are logarithms throughout.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from vae_core.configurable import Config, Count, Positive

State = tuple[Tensor, ...]
"""What the model remembers of each sentence: tensors (B, ...)."""


@dataclass(frozen=True)
class WordModel:
    """What decoding needs to know of a model."""

    step: Callable[[Tensor, State], tuple[Tensor, State]]
    """Last words (B,) and state -> log probabilities of the next word (B, V), and the state after it; each row by itself."""
    state: State
    """Before the first word."""
    bos: int
    eos: int

    def __len__(self) -> int:
        """B."""
        return len(self.state[0])


class Decoding(Config):
    """A way to choose the words."""

    @property
    def rows(self) -> int:
        """Rows of the state that each sentence takes up."""
        return 1

    @abstractmethod
    def decode(self, model: WordModel, max_length: int, generator: Generator) -> Tensor:
        """Word ids (B, L), L <= max_length; what follows a sentence's first ``</s>`` means nothing."""


class WordByWord(Decoding):
    """Chooses each word for good before it looks at the next."""

    def decode(self, model: WordModel, max_length: int, generator: Generator) -> Tensor:
        state, device = model.state, model.state[0].device
        words = torch.full((len(model),), model.bos, device=device)
        ended = torch.zeros(len(model), dtype=torch.bool, device=device)
        chosen = []
        for _ in range(max_length):
            log_probs, state = model.step(words, state)
            words = self.choose(log_probs, generator)
            chosen.append(words)
            ended |= words == model.eos
            if ended.all():
                break
        return torch.stack(chosen, 1)

    @abstractmethod
    def choose(self, log_probs: Tensor, generator: Generator) -> Tensor:
        """(B, V) -> (B,)."""


class Greedy(WordByWord):
    """The most likely word at each step."""

    kind: Literal["greedy"] = "greedy"

    def choose(self, log_probs: Tensor, generator: Generator) -> Tensor:
        return log_probs.argmax(1)


class Ancestral(WordByWord):
    """A word drawn from p^(1/temperature), renormalised; at temperature 1 the sentences are samples of the model."""

    kind: Literal["ancestral"] = "ancestral"
    temperature: Positive = 1.0

    def choose(self, log_probs: Tensor, generator: Generator) -> Tensor:
        return _draw(log_probs / self.temperature, generator)


class TopK(WordByWord):
    """A word drawn from the k most likely ones, renormalised (Fan et al. 2018); the temperature comes first."""

    kind: Literal["top-k"] = "top-k"
    k: Count = 40
    temperature: Positive = 1.0

    def choose(self, log_probs: Tensor, generator: Generator) -> Tensor:
        return _draw(keep_top_k(log_probs / self.temperature, self.k), generator)


class Nucleus(WordByWord):
    """A word drawn from the smallest set of likeliest words that holds the share p, renormalised (Holtzman et al. 2020).

    The temperature comes first.
    """

    kind: Literal["nucleus"] = "nucleus"
    p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    temperature: Positive = 1.0

    def choose(self, log_probs: Tensor, generator: Generator) -> Tensor:
        return _draw(keep_nucleus(log_probs / self.temperature, self.p), generator)


class Beam(Decoding):
    """Beam search for the sentence y of highest log p(y) / |y|^length_penalty; |y| counts ``</s>``."""

    kind: Literal["beam"] = "beam"
    beams: Annotated[int, Field(ge=1, le=1000)] = 5
    """K, how many beginnings of a sentence are kept at each step. With 1 and no penalty, greedy."""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    """0: the likeliest sentence, which is often a short one; 1: the highest mean log probability of a word."""

    @property
    def rows(self) -> int:
        return self.beams

    def decode(self, model: WordModel, max_length: int, generator: Generator) -> Tensor:
        return beam_search(model, self.beams, self.length_penalty, max_length)


AnyDecoding = Greedy | Ancestral | TopK | Nucleus | Beam
"""The family's table."""
DECODINGS: dict[str, type[AnyDecoding]] = {
    member.model_fields["kind"].default: member for member in (Greedy, Ancestral, TopK, Nucleus, Beam)
}
"""By kind."""


def keep_top_k(scores: Tensor, k: int) -> Tensor:
    """All but the k highest of each row become -inf: (B, V) -> (B, V). Of equal ones, so many are kept that there are k."""
    best, place = scores.topk(min(k, scores.shape[1]), dim=1)
    return torch.full_like(scores, -torch.inf).scatter(1, place, best)


def keep_nucleus(scores: Tensor, p: float) -> Tensor:
    """All but the fewest words whose softmax adds up to p or more become -inf, at least one a row: (B, V) -> (B, V)."""
    if p >= 1.0:  # rounding must not take the tail away
        return scores
    ranked, place = scores.sort(dim=1, descending=True)
    probability = ranked.double().softmax(1)
    before = probability.cumsum(1) - probability
    return torch.empty_like(scores).scatter(1, place, ranked.masked_fill(before >= p, -torch.inf))


def beam_search(model: WordModel, beams: int, length_penalty: float, max_length: int) -> Tensor:
    """The sentence y of highest log p(y) / |y|^length_penalty among those that the beams meet, (B, max_length).

    A sentence that ends among the K best continuations of a step is done; the K best that go on are the next beams. The search
    is over when no beam can overtake any more; what has not ended after ``max_length`` words competes as it stands.
    """
    count, device = len(model), model.state[0].device
    row = torch.arange(count, device=device).unsqueeze(1)
    state = _rows(model.state, row.expand(-1, beams).flatten())
    words = torch.full((count * beams,), model.bos, device=device)
    live = torch.full((count, beams), -torch.inf, device=device)
    live[:, 0] = 0.0  # all beams of a sentence are still the same one
    history = torch.empty((count, beams, 0), dtype=torch.long, device=device)
    best = torch.full((count,), -torch.inf, device=device)
    answer = torch.full((count, max_length), model.eos, device=device)
    for length in range(1, max_length + 1):
        log_probs, state = model.step(words, state)
        reached = live.unsqueeze(2) + log_probs.view(count, beams, -1)
        # Each beam has one way to end, so that K of 2 K candidates go on.
        scores, place = reached.flatten(1).topk(2 * beams, dim=1)
        beam, word = place // reached.shape[2], place % reached.shape[2]
        sentences = torch.cat((history[row, beam], word.unsqueeze(2)), 2)
        ends = word == model.eos
        done = scores[:, :beams] / length**length_penalty
        if length < max_length:
            done = done.masked_fill(~ends[:, :beams], -torch.inf)
        score, which = done.max(1)
        better = score > best
        best = torch.where(better, score, best)
        answer[better] = model.eos
        answer[better, :length] = sentences[row.squeeze(1), which][better]
        live, kept = scores.masked_fill(ends, -torch.inf).topk(beams, dim=1)
        if (best >= live[:, 0] / max_length**length_penalty).all():  # a beam's score only falls, but its divisor may grow
            break
        history, words = sentences[row, kept], word.gather(1, kept).flatten()
        state = _rows(state, (row * beams + beam.gather(1, kept)).flatten())
    return answer


def _draw(scores: Tensor, generator: Generator) -> Tensor:
    return torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)


def _rows(state: State, index: Tensor) -> State:
    return tuple(part[index] for part in state)

"""The options of the recurrent encoders and decoders of text; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Positive, Probability, Share
from vae_core.networks.text_config import SentenceDecoderConfig, SentenceEncoderConfig
from vae_core.schedules import AnySchedule, Linear

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.data.batching import TextBatch
    from vae_core.data.vocabulary import WordList
    from vae_core.networks.interface import Encoder
    from vae_core.networks.scheduled_sampling import NextWord
    from vae_core.networks.sentence import SentenceDecoder
    from vae_core.networks.word_vectors import WordVectors
    from vae_core.softmax.config import SoftmaxConfig


class RecurrentDropout(Config):
    """Variational (locked) dropout (Gal & Ghahramani 2016): one mask a sequence, the same at every step."""

    inputs: Probability = 0.0
    hidden: Probability = 0.0
    output: Probability = 0.0


class ScheduledSampling(Config):
    """Feeds the decoder words of its own in place of true ones, more and more of them (Bengio et al. 2015); never in evaluation.

    A true word is fed with probability 1 - (1 - end) x the schedule, drawn for each place by itself; <s> is never replaced. What
    is fed instead comes from the decoder's prediction at the word before, among the words that a sentence may go on with.
    ``build`` makes what turns a prediction into it, and imports torch.
    """

    end: Share = 0.5
    """The probability of the true word once the schedule has ended."""
    schedule: AnySchedule = Linear()
    """The share of the way from teacher forcing to ``end`` at each step."""

    def probability(self, step: int, total: int) -> float:
        """That of feeding the true word at ``step`` of ``total`` planned steps."""
        return 1.0 - (1.0 - self.end) * self.schedule(step, total)

    def build(self) -> NextWord:
        raise NotImplementedError


class DrawnSampling(ScheduledSampling):
    """A word drawn from the prediction (Bengio et al. 2015)."""

    kind: Literal["drawn"] = "drawn"

    def build(self) -> NextWord:
        from vae_core.networks.scheduled_sampling import DrawnWord

        return DrawnWord()


class SoftSampling(ScheduledSampling):
    """The soft argmax: all word vectors, weighted by the prediction, with a gradient to it (Goyal et al. 2017)."""

    kind: Literal["soft"] = "soft"
    temperature: Positive = 1.0
    """1 / alpha of the paper: the lower, the closer to the most likely word alone."""

    def build(self) -> NextWord:
        from vae_core.networks.scheduled_sampling import SoftWord

        return SoftWord(self.temperature)


AnyScheduledSampling = Annotated[DrawnSampling | SoftSampling, Field(discriminator="kind")]
"""The family's table."""


class Truncation(Config):
    """Truncated back-propagation through time (Williams & Peng 1990): the gradient goes so far back and no further.

    Scores are what they are without it. The gradient of each word's score goes ``back`` words at most, and
    ``back`` - ``every`` + 1 at least. Where ``back`` is above ``every``, each word is run through ``back`` / ``every`` times.
    """

    every: Count
    """k1, the words between two cuts."""
    back: Count
    """k2, the words that the gradient goes back from each cut."""

    @model_validator(mode="after")
    def _each_word_is_reached(self) -> Self:
        if self.back < self.every:
            raise ValueError(f"back: {self.back} must be every: {self.every} or more, or some words would have no gradient")
        return self


class RecurrentEncoder(SentenceEncoderConfig):
    """What the recurrent encoders share: reads the sentence, its last states become the posterior's parameters."""

    kind: Literal["lstm", "gru"]
    hidden: Count = 256
    bidirectional: bool = False
    variational_dropout: RecurrentDropout = RecurrentDropout()

    def network(self, table: WordVectors, generator: Generator) -> Encoder[TextBatch]:
        from vae_core.networks.recurrent import RecurrentSentenceEncoder

        return RecurrentSentenceEncoder(self, table, generator)


class LstmEncoder(RecurrentEncoder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GruEncoder(RecurrentEncoder):
    """Gated recurrent unit (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"


class RecurrentDecoder(SentenceDecoderConfig):
    """What the recurrent decoders share: z makes the first state and is an input at every step (Bowman et al. 2016)."""

    kind: Literal["lstm", "gru"]
    hidden: Count = 256
    variational_dropout: RecurrentDropout = RecurrentDropout()
    scheduled_sampling: AnyScheduledSampling | None = None
    """Words of its own as inputs; null: teacher forcing throughout. Takes training through the sentence word by word."""
    truncation: Truncation | None = None
    """null: back-propagation through the whole sentence."""

    @property
    def features(self) -> int:
        return self.hidden

    def network(
        self, latent: int, table: WordVectors, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        from vae_core.networks.recurrent import RecurrentSentenceDecoder

        return RecurrentSentenceDecoder(self, latent, table, softmax, vocabulary, generator)


class LstmDecoder(RecurrentDecoder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GruDecoder(RecurrentDecoder):
    """Gated recurrent unit (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"

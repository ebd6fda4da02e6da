"""The options of encoders and decoders of text, but for the recurrent ones; free of torch, so that a sweep file is checked
within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Count, Probability
from vae_core.networks.dropout_config import DropoutOptions
from vae_core.networks.word_vectors_config import AnyWordVectors, TableVectors

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.data.batching import TextBatch
    from vae_core.data.vocabulary import WordList
    from vae_core.networks.interface import Encoder
    from vae_core.networks.sentence import SentenceDecoder
    from vae_core.networks.text import TextDecoder
    from vae_core.networks.word_vectors import WordVectors
    from vae_core.softmax.config import SoftmaxConfig


class TextEncoderConfig(DropoutOptions):
    """What every encoder of text has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    dropout: Probability = 0.0
    """On the summary of the sentence (Srivastava et al. 2014)."""

    def make_vectors(self, vocabulary: WordList, generator: Generator) -> WordVectors | None:
        """What it reads words as; None: not by vectors."""
        return None

    def build(self, vocabulary: WordList, table: WordVectors | None, generator: Generator) -> Encoder[TextBatch]:
        """``table`` is what ``make_vectors`` gave."""
        raise NotImplementedError


class SentenceEncoderConfig(TextEncoderConfig):
    """What the encoders that read word after word have."""

    embedding: Count = 256
    """Width of the word vectors."""
    word_vectors: AnyWordVectors = TableVectors()
    """What they are made of."""
    embedding_dropout: Probability = 0.0
    """Zeroes the whole vector of a word type (Gal & Ghahramani 2016)."""

    def make_vectors(self, vocabulary: WordList, generator: Generator) -> WordVectors:
        return self.word_vectors.build(vocabulary, self.embedding, generator)

    def build(self, vocabulary: WordList, table: WordVectors | None, generator: Generator) -> Encoder[TextBatch]:
        assert table is not None
        return self.network(table, generator)

    def network(self, table: WordVectors, generator: Generator) -> Encoder[TextBatch]:
        """``build`` for a member of this kind."""
        raise NotImplementedError


class TextDecoderConfig(DropoutOptions):
    """What every decoder of text has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    likelihood: ClassVar[Literal["categorical", "multinomial"]] = "categorical"
    """The kind of ``model.likelihood`` that it has, named or not."""
    dropout: Probability = 0.0
    """On the decoder's output, drawn anew at every step (Srivastava et al. 2014)."""

    def make_vectors(self, vocabulary: WordList, shared: WordVectors | None, generator: Generator) -> WordVectors | None:
        """What it reads words as, which may be the encoder's; None: it reads none."""
        return None

    def build(
        self, latent: int, vocabulary: WordList, table: WordVectors | None, softmax: SoftmaxConfig, generator: Generator
    ) -> TextDecoder:
        """``table`` is what ``make_vectors`` gave."""
        raise NotImplementedError


class SentenceDecoderConfig(TextDecoderConfig):
    """What the decoders that predict word after word have."""

    embedding: Count | None = None
    """Width of the word vectors, a table of them; null: the encoder's, which are then shared."""
    tie_embeddings: bool = False
    """Output vectors are the input vectors (Press & Wolf 2017; Inan et al. 2017)."""
    output_map: bool | None = None
    """A linear map from the hidden state to the word vectors' width before the softmax; null: where tying needs one."""
    word_dropout: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Replaces decoder inputs by <unk> (Bowman et al. 2016); 1 leaves a decoder that sees z alone."""
    embedding_dropout: Probability = 0.0

    @property
    def features(self) -> int:
        """Width of the hidden states."""
        raise NotImplementedError

    def make_vectors(self, vocabulary: WordList, shared: WordVectors | None, generator: Generator) -> WordVectors | None:
        return shared if self.embedding is None else TableVectors().build(vocabulary, self.embedding, generator)

    def build(
        self, latent: int, vocabulary: WordList, table: WordVectors | None, softmax: SoftmaxConfig, generator: Generator
    ) -> SentenceDecoder:
        assert table is not None, "TrialConfig wants embedding where the encoder has none to share"
        return self.network(latent, table, softmax, vocabulary, generator)

    def network(
        self, latent: int, table: WordVectors, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        """``build`` for a member of this kind."""
        raise NotImplementedError


class TransformerLayers(DropoutOptions):
    """What encoder and decoder share: layers of attention and feed-forward, normalised before each (Xiong et al. 2020)."""

    width: Count = 256
    heads: Count = 4
    """Of width / heads each."""
    layers: Count = 2
    feed_forward: Count = 1024
    """Width of the hidden layer between two layers of attention."""
    dropout: Probability = 0.0
    """On the inputs, on what each sub-layer adds (Vaswani et al. 2017, sec. 5.4), and on summary or output."""
    attention_dropout: Probability = 0.0
    """On the attention weights."""

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class TransformerEncoder(TransformerLayers, SentenceEncoderConfig):
    """Every word attends to every other (Vaswani et al. 2017); the summary is the mean over the real tokens."""

    kind: Literal["transformer"] = "transformer"

    def network(self, table: WordVectors, generator: Generator) -> Encoder[TextBatch]:
        from vae_core.networks.transformer import TransformerSentenceEncoder

        return TransformerSentenceEncoder(self, table, generator)


class TransformerDecoder(TransformerLayers, SentenceDecoderConfig):
    """Every word attends to those before it (Vaswani et al. 2017); z is an input at every position, that of <s> included."""

    kind: Literal["transformer"] = "transformer"

    @property
    def features(self) -> int:
        return self.width

    def network(
        self, latent: int, table: WordVectors, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        from vae_core.networks.transformer import TransformerSentenceDecoder

        return TransformerSentenceDecoder(self, latent, table, softmax, vocabulary, generator)


class CnnDecoder(SentenceDecoderConfig):
    """Causal dilated convolutions (Yang et al. 2017): predicts from z and the last few words alone, see ``context``."""

    kind: Literal["cnn"] = "cnn"
    width: Count = 256
    kernel: Annotated[int, Field(ge=2)] = 3
    """Positions that each convolution reads, the last of them the current one."""
    dilations: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8)
    """Distance of these positions in each block, from the words on; the paper's small net."""
    dropout: Probability = 0.0
    """On what each block adds, and on the output."""

    @property
    def features(self) -> int:
        return self.width

    @property
    def context(self) -> int:
        """The words that a prediction sees, <s> counted: 1 + (kernel - 1) x the sum of the dilations."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def network(
        self, latent: int, table: WordVectors, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        from vae_core.networks.text_convolutional import CnnSentenceDecoder

        return CnnSentenceDecoder(self, latent, table, softmax, vocabulary, generator)


class BagOfWordsLayers(DropoutOptions):
    """What encoder and decoder share: fully connected layers."""

    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0
    """After each hidden layer."""


class BagOfWordsEncoder(BagOfWordsLayers, TextEncoderConfig):
    """Reads how often each word occurs, in whatever order (NVDM, Miao et al. 2016; Mult-VAE, Liang et al. 2018)."""

    kind: Literal["bag_of_words"] = "bag_of_words"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (400,)
    """Width of each hidden layer, from the counts on."""
    counts: Literal["log", "share"] = "log"
    """What is read of the n occurrences of a word: log(1 + n), or their share of the document's words."""

    def build(self, vocabulary: WordList, table: WordVectors | None, generator: Generator) -> Encoder[TextBatch]:
        from vae_core.networks.bag_of_words import BagOfWordsTextEncoder

        return BagOfWordsTextEncoder(self, vocabulary, generator)


class BagOfWordsDecoder(BagOfWordsLayers, TextDecoderConfig):
    """Every word of a document is drawn by itself from one softmax given z (NVDM, Miao et al. 2016; Mult-VAE, Liang et al. 2018).

    The likelihood is that of the words in their order, that is the multinomial without its coefficient, which the model cannot
    change. There is no </s> to predict: scores and perplexity are of words alone.
    """

    kind: Literal["bag_of_words"] = "bag_of_words"
    likelihood: ClassVar[Literal["categorical", "multinomial"]] = "multinomial"
    hidden: tuple[Count, ...] = ()
    """Width of each hidden layer, from the latent on; none: the softmax reads z."""

    def build(
        self, latent: int, vocabulary: WordList, table: WordVectors | None, softmax: SoftmaxConfig, generator: Generator
    ) -> TextDecoder:
        from vae_core.networks.bag_of_words import BagOfWordsTextDecoder

        return BagOfWordsTextDecoder(self, latent, vocabulary, softmax, generator)

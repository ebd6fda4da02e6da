"""The options of encoders and decoders; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vae_core.configurable import Config, Count, Probability

if TYPE_CHECKING:
    from torch import Generator, nn

    from vae_core.data.batching import ImageBatch, TextBatch
    from vae_core.data.vocabulary import WordList
    from vae_core.likelihoods import ImageLikelihood
    from vae_core.networks.image import ImageDecoder
    from vae_core.networks.interface import Encoder
    from vae_core.networks.sentence import SentenceDecoder
    from vae_core.softmax.config import SoftmaxConfig


class TextEncoderConfig(Config):
    """What every encoder of text has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    embedding: Count = 256
    """Width of the word vectors."""
    dropout: Probability = 0.0
    """Inverted dropout on the summary of the sentence (Srivastava et al. 2014)."""
    embedding_dropout: Probability = 0.0
    """Zeroes the whole vector of a word type (Gal & Ghahramani 2016)."""

    def build(self, table: nn.Embedding, generator: Generator) -> Encoder[TextBatch]:
        raise NotImplementedError


class TextDecoderConfig(Config):
    """What every decoder of text has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    embedding: Count | None = None
    """Width of the word vectors; null: the encoder's, whose table is then shared."""
    tie_embeddings: bool = False
    """Output vectors are the input vectors (Press & Wolf 2017; Inan et al. 2017)."""
    output_map: bool | None = None
    """A linear map from the hidden state to the word vectors' width before the softmax; null: where tying needs one."""
    word_dropout: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Replaces decoder inputs by <unk> (Bowman et al. 2016); 1 leaves a decoder that sees z alone."""
    embedding_dropout: Probability = 0.0
    dropout: Probability = 0.0
    """Inverted dropout on the decoder's output, a fresh mask at every step."""

    @property
    def features(self) -> int:
        """Width of the hidden states."""
        raise NotImplementedError

    def build(
        self, latent: int, table: nn.Embedding, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        raise NotImplementedError


class ImageEncoderConfig(Config):
    """What every encoder of images has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0
    """Inverted dropout after each layer."""

    def build(self, shape: tuple[int, ...], generator: Generator) -> Encoder[ImageBatch]:
        """For images (H, W) or (H, W, C)."""
        raise NotImplementedError


class ImageDecoderConfig(Config):
    """What every decoder of images has; ``build`` makes its network, and imports torch."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0
    """Inverted dropout after each hidden layer."""

    def build(self, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator) -> ImageDecoder:
        """For images (H, W) or (H, W, C)."""
        raise NotImplementedError


class RecurrentDropout(Config):
    """Variational (locked) dropout (Gal & Ghahramani 2016): one mask a sequence, the same at every step."""

    inputs: Probability = 0.0
    hidden: Probability = 0.0
    output: Probability = 0.0


class RecurrentEncoder(TextEncoderConfig):
    """What the recurrent encoders share: reads the sentence, its last states become the posterior's parameters."""

    kind: Literal["lstm", "gru"]
    hidden: Count = 256
    bidirectional: bool = False
    variational_dropout: RecurrentDropout = RecurrentDropout()

    def build(self, table: nn.Embedding, generator: Generator) -> Encoder[TextBatch]:
        from vae_core.networks.recurrent import RecurrentSentenceEncoder

        return RecurrentSentenceEncoder(self, table, generator)


class LstmEncoder(RecurrentEncoder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GruEncoder(RecurrentEncoder):
    """Gated recurrent unit (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"


class RecurrentDecoder(TextDecoderConfig):
    """What the recurrent decoders share: z makes the first state and is an input at every step (Bowman et al. 2016)."""

    kind: Literal["lstm", "gru"]
    hidden: Count = 256
    variational_dropout: RecurrentDropout = RecurrentDropout()

    @property
    def features(self) -> int:
        return self.hidden

    def build(
        self, latent: int, table: nn.Embedding, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        from vae_core.networks.recurrent import RecurrentSentenceDecoder

        return RecurrentSentenceDecoder(self, latent, table, softmax, vocabulary, generator)


class LstmDecoder(RecurrentDecoder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GruDecoder(RecurrentDecoder):
    """Gated recurrent unit (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"


class TransformerLayers(Config):
    """What encoder and decoder share: layers of attention and feed-forward, normalised before each (Xiong et al. 2020)."""

    width: Count = 256
    heads: Count = 4
    """Of width / heads each."""
    layers: Count = 2
    feed_forward: Count = 1024
    """Width of the hidden layer between two layers of attention."""
    dropout: Probability = 0.0
    """Inverted dropout on the inputs, on what each sub-layer adds (Vaswani et al. 2017, sec. 5.4), and on summary or output."""
    attention_dropout: Probability = 0.0
    """Inverted dropout on the attention weights."""

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class TransformerEncoder(TransformerLayers, TextEncoderConfig):
    """Every word attends to every other (Vaswani et al. 2017); the summary is the mean over the real tokens."""

    kind: Literal["transformer"] = "transformer"

    def build(self, table: nn.Embedding, generator: Generator) -> Encoder[TextBatch]:
        from vae_core.networks.transformer import TransformerSentenceEncoder

        return TransformerSentenceEncoder(self, table, generator)


class TransformerDecoder(TransformerLayers, TextDecoderConfig):
    """Every word attends to those before it (Vaswani et al. 2017); z is an input at every position, that of <s> included."""

    kind: Literal["transformer"] = "transformer"

    @property
    def features(self) -> int:
        return self.width

    def build(
        self, latent: int, table: nn.Embedding, softmax: SoftmaxConfig, vocabulary: WordList, generator: Generator
    ) -> SentenceDecoder:
        from vae_core.networks.transformer import TransformerSentenceDecoder

        return TransformerSentenceDecoder(self, latent, table, softmax, vocabulary, generator)


class MlpEncoder(ImageEncoderConfig):
    """Fully connected layers for images."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (400,)
    """Width of each hidden layer, from the image on."""

    def build(self, shape: tuple[int, ...], generator: Generator) -> Encoder[ImageBatch]:
        from vae_core.networks.mlp import MlpImageEncoder

        return MlpImageEncoder(self, math.prod(shape), generator)


class MlpDecoder(ImageDecoderConfig):
    """Fully connected layers for images."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (400,)
    """Width of each hidden layer, from the latent on."""

    def build(self, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator) -> ImageDecoder:
        from vae_core.networks.mlp import MlpImageDecoder

        return MlpImageDecoder(self, latent, math.prod(shape), likelihood, generator)


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"a kernel is odd, so that it has a middle; got {kernel}")
    return kernel


Kernel = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class ConvEncoder(ImageEncoderConfig):
    """Convolutions of stride 2 for images of any size (LeCun et al. 1998; strides for pooling: Springenberg et al. 2015)."""

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64)
    """Of each stage, from the image on; each halves height and width, rounding up."""
    kernel: Kernel = 3

    def build(self, shape: tuple[int, ...], generator: Generator) -> Encoder[ImageBatch]:
        from vae_core.networks.convolutional import ConvImageEncoder

        return ConvImageEncoder(self, shape, generator)


class ConvDecoder(ImageDecoderConfig):
    """Transposed convolutions of stride 2, which give the image its exact size (Radford et al. 2016)."""

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 32)
    """Read by each stage, from the latent on; each doubles height and width, the last gives the pixels."""
    kernel: Kernel = 3

    def build(self, latent: int, shape: tuple[int, ...], likelihood: ImageLikelihood, generator: Generator) -> ImageDecoder:
        from vae_core.networks.convolutional import ConvImageDecoder

        return ConvImageDecoder(self, latent, shape, likelihood, generator)


AnyEncoder = Annotated[LstmEncoder | GruEncoder | TransformerEncoder | MlpEncoder | ConvEncoder, Field(discriminator="kind")]
"""The family's table of encoders."""
AnyDecoder = Annotated[LstmDecoder | GruDecoder | TransformerDecoder | MlpDecoder | ConvDecoder, Field(discriminator="kind")]
"""The family's table of decoders."""

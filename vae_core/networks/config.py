"""The options of encoders and decoders; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vae_core.configurable import Config, Count, Probability


class RecurrentDropout(Config):
    """Variational (locked) dropout (Gal & Ghahramani 2016): one mask a sequence, the same at every step."""

    inputs: Probability = 0.0
    hidden: Probability = 0.0
    output: Probability = 0.0


class RecurrentEncoder(Config):
    """What the recurrent encoders share: reads the sentence, its last states become the posterior's parameters."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    embedding: Count = 256
    hidden: Count = 256
    bidirectional: bool = False
    dropout: Probability = 0.0
    """Inverted dropout on the summary of the sentence (Srivastava et al. 2014)."""
    embedding_dropout: Probability = 0.0
    """Zeroes the whole vector of a word type (Gal & Ghahramani 2016)."""
    variational_dropout: RecurrentDropout = RecurrentDropout()


class LstmEncoder(RecurrentEncoder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GruEncoder(RecurrentEncoder):
    """Gated recurrent unit (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"


class MlpEncoder(Config):
    """Fully connected layers for images."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (400,)
    """Width of each hidden layer, from the image on."""
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0


class RecurrentDecoder(Config):
    """What the recurrent decoders share: z makes the first state and is an input at every step (Bowman et al. 2016)."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    embedding: Count | None = None
    """Width of the word vectors; null: the encoder's, whose table is then shared."""
    hidden: Count = 256
    tie_embeddings: bool = False
    """Output vectors are the input vectors (Press & Wolf 2017; Inan et al. 2017)."""
    output_map: bool | None = None
    """A linear map from the hidden state to the word vectors' width before the softmax; null: where tying needs one."""
    word_dropout: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Replaces decoder inputs by <unk> (Bowman et al. 2016); 1 leaves a decoder that sees z alone."""
    embedding_dropout: Probability = 0.0
    dropout: Probability = 0.0
    """Inverted dropout on the decoder's output, a fresh mask at every step."""
    variational_dropout: RecurrentDropout = RecurrentDropout()


class LstmDecoder(RecurrentDecoder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GruDecoder(RecurrentDecoder):
    """Gated recurrent unit (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"


class MlpDecoder(Config):
    """Fully connected layers for images."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (400,)
    """Width of each hidden layer, from the latent on."""
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: Probability = 0.0


AnyEncoder = Annotated[LstmEncoder | GruEncoder | MlpEncoder, Field(discriminator="kind")]
AnyDecoder = Annotated[LstmDecoder | GruDecoder | MlpDecoder, Field(discriminator="kind")]

"""The options of word vectors; free of torch, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vae_core.configurable import Config, Count
from vae_core.plugins import extended

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.data.vocabulary import WordList
    from vae_core.networks.word_vectors import WordVectors


class WordVectorsConfig(Config):
    """One member of the family; ``build`` makes the vectors, and imports torch."""

    def build(self, vocabulary: WordList, width: int, generator: Generator) -> WordVectors:
        raise NotImplementedError


class TableVectors(WordVectorsConfig):
    """A vector a word, learned each by itself."""

    kind: Literal["table"] = "table"

    def build(self, vocabulary: WordList, width: int, generator: Generator) -> WordVectors:
        from vae_core.networks.initialise import embedding

        return embedding(len(vocabulary), width, generator)


class CharacterCnnVectors(WordVectorsConfig):
    """Made of a word's characters by convolutions and highway layers (Kim et al. 2016); the defaults are the paper's small net.

    <unk>, </s>, <s> and padding have vectors of their own. A linear map, which the paper does without, gives the vectors their
    width.
    """

    kind: Literal["character_cnn"] = "character_cnn"
    characters: Count = 15
    """Width of a character's vector."""
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 3, 4, 5, 6)
    """Characters that a filter reads."""
    filters: Count = 25
    """For each character of their width: 25 of width 1, 50 of width 2."""
    highway: Annotated[int, Field(ge=0)] = 1
    """Highway layers (Srivastava et al. 2015)."""

    def build(self, vocabulary: WordList, width: int, generator: Generator) -> WordVectors:
        from vae_core.networks.character_cnn import CharacterCnn

        return CharacterCnn(self, vocabulary, width, generator)


AnyWordVectors = Annotated[TableVectors | CharacterCnnVectors, Field(discriminator="kind")]
"""The family's table."""
if not TYPE_CHECKING:
    AnyWordVectors = extended(AnyWordVectors, WordVectorsConfig, "word_vectors")

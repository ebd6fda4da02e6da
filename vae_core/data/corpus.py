"""From sentences to word ids: limits of length, splits, vocabulary, in this order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vae_core.data.errors import DataError
from vae_core.data.ragged import Interner, Ragged
from vae_core.data.sentences import Tokens
from vae_core.data.splitting import SPLITS, shuffled_order, split_indices
from vae_core.data.vocabulary import RESERVED, WordList

if TYPE_CHECKING:
    from vae_core.data.config import TextConfig


class Source(NamedTuple):
    """Sentences of one origin."""

    place: str
    """Where they come from, for messages."""
    sentences: Iterable[str]
    tokens: Tokens


def prepare(sources: Mapping[str, Source], config: TextConfig) -> tuple[dict[str, Ragged], WordList]:
    """Word ids of train, valid and test, and the vocabulary of train.

    Args:
        sources: by split; ``train`` is there, and gives up shares for the others where these are not.
        config: limits, vocabulary, shares.

    Raises:
        DataError: a source has a reserved word or no sentence of the wanted length, or train is too small to split.
    """
    interner = Interner()
    kept = {}
    for name, source in sources.items():
        numbered = interner.number(source.sentences, source.tokens)
        _refuse_reserved(source.place, interner.words, config.vocabulary.lowercase)
        kept[name] = _within_limits(source, numbered, config)
    whole = kept["train"]
    parts = split_indices(
        len(whole.lengths), config.split, sources["train"].place, valid="valid" not in kept, test="test" not in kept
    )
    if config.max_sentences is not None:
        order = shuffled_order(len(parts["train"]), config.split.seed, stream=1)
        parts["train"] = parts["train"][np.sort(order[: config.max_sentences])]
    kept |= {name: whole.take(index, config.max_length) for name, index in parts.items()}
    counts = np.bincount(kept["train"].tokens, minlength=len(interner.words)).tolist()
    met = {word: count for word, count in zip(interner.words, counts, strict=True) if count}
    separator = "" if sources["train"].tokens == "character" else " "
    vocabulary = WordList.from_counts(met, len(kept["train"].lengths), config.vocabulary, separator)
    ids = vocabulary.encode(interner.words)
    return {name: Ragged(ids[kept[name].tokens], kept[name].offsets) for name in SPLITS}, vocabulary


def _refuse_reserved(place: str, words: tuple[str, ...], lowercase: bool) -> None:
    taken = [word for word in words if (word.lower() if lowercase else word) in RESERVED]
    if taken:
        raise DataError(f"{place}: contains {taken[0]} as a word, which the model adds itself: remove it from the text")


def _within_limits(source: Source, found: Ragged, config: TextConfig) -> Ragged:
    place = source.place
    lengths = found.lengths
    wanted = lengths >= config.min_length
    if config.long == "drop":
        wanted &= lengths <= config.max_length
    if not wanted.any():
        if not len(lengths):
            raise DataError(f"{place}: no sentence found: give a file with more text")
        cure = "lower data.min_length" if lengths.max() < config.min_length else "raise data.max_length, or cut: data.long: cut"
        if getattr(config, "unit", "sentence") != "sentence":
            cure += "; data.unit: sentence splits paragraphs"
        words = "characters" if source.tokens == "character" else "words"
        raise DataError(
            f"{place}: none of {len(lengths)} sentences has {config.min_length} to {config.max_length} {words}"
            f" (they have {lengths.min()} to {lengths.max()}): {cure}"
        )
    return found.take(np.flatnonzero(wanted), config.max_length)

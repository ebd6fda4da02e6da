"""From sentences to word ids: limits of length, splits, vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from vae_core.data.errors import DataError
from vae_core.data.labels import label_names, number_labels, require_examples
from vae_core.data.ragged import Interner, Ragged
from vae_core.data.sentences import Tokens
from vae_core.data.splitting import SPLITS, shuffled_order, split_indices
from vae_core.data.subwords import Subwords
from vae_core.data.vocabulary import RESERVED, WordList

if TYPE_CHECKING:
    from vae_core.data.text_config import TextConfig


_Labels = Mapping[str, npt.NDArray[np.int64] | None]
_UNITS = {"character": "characters", "bpe": "BPE tokens"}


class Source(NamedTuple):
    """Sentences of one origin."""

    place: str
    """Where they come from, for messages."""
    sentences: Iterable[str]
    tokens: Tokens
    labels: Sequence[str] | None = None
    """Of each sentence, by name; None where there are none."""


class Prepared(NamedTuple):
    """Sentences as word ids, by split, and what the ids stand for."""

    splits: dict[str, Ragged]
    vocabulary: WordList
    labels: tuple[str, ...] | None
    """Names of the labels by number; None where there are none."""


def prepare(sources: Mapping[str, Source], config: TextConfig) -> Prepared:
    """Word ids of train, valid and test, and the vocabulary and the labels of train.

    Args:
        sources: by split; ``train`` is there, and gives up shares for the others where these are not.
        config: limits, vocabulary, shares.

    Raises:
        DataError: a source has a reserved word, a label that train has no example of, or no sentence of the wanted length, or
            train is too small to split.
    """
    train_labels = sources["train"].labels
    names = None if train_labels is None else label_names(train_labels)
    labels = {
        split: None if names is None or source.labels is None else number_labels(source.place, source.labels, names)
        for split, source in sources.items()
    }
    kind = _of_subwords if sources["train"].tokens == "bpe" else _of_words
    splits, vocabulary = kind(sources, labels, config)
    if names is not None:
        require_examples(sources["train"].place, names, splits["train"].labels)
    return Prepared(splits, vocabulary, names)


def _of_words(sources: Mapping[str, Source], labels: _Labels, config: TextConfig) -> tuple[dict[str, Ragged], WordList]:
    """Limits of length, splits, vocabulary, in this order."""
    interner, kept = Interner(), {}
    for split, source in sources.items():
        numbered = interner.number(source.sentences, source.tokens, labels[split])
        _refuse_reserved(source.place, interner.words, config.vocabulary.lowercase)
        kept[split] = _within_limits(source, numbered, config)
    whole = kept["train"]
    parts = _parts(len(whole.lengths), sources, config)
    kept |= {split: whole.take(index, config.max_length) for split, index in parts.items()}
    counts = np.bincount(kept["train"].tokens, minlength=len(interner.words)).tolist()
    met = {word: count for word, count in zip(interner.words, counts, strict=True) if count}
    separator = "" if sources["train"].tokens == "character" else " "
    vocabulary = WordList.from_counts(met, len(kept["train"].lengths), config.vocabulary, separator)
    ids = vocabulary.encode(interner.words)
    return {split: kept[split]._replace(tokens=ids[kept[split].tokens]) for split in SPLITS}, vocabulary


def _of_subwords(sources: Mapping[str, Source], labels: _Labels, config: TextConfig) -> tuple[dict[str, Ragged], WordList]:
    """Splits, tokens of what is train's, limits of length, vocabulary: lengths are not known before there are tokens."""
    texts = {split: list(source.sentences) for split, source in sources.items()}
    parts = _parts(len(texts["train"]), sources, config)
    given = {split: np.arange(len(found)) for split, found in texts.items()} | parts
    origin = {split: "train" if split in parts else split for split in SPLITS}
    subwords = Subwords.learn((texts["train"][place] for place in given["train"]), config.vocabulary)
    kept = {}
    for split in SPLITS:
        own, index = origin[split], given[split]
        numbers = labels[own]
        rows = subwords.encode(texts[own][place] for place in index)
        found = Ragged.of(rows, None if numbers is None else numbers[index])
        kept[split] = _within_limits(sources[own], found, config)
    counts = np.bincount(kept["train"].tokens, minlength=len(subwords.tokens))
    vocabulary = subwords.vocabulary(counts, len(kept["train"].lengths))
    ids = vocabulary.encode(subwords.tokens)
    return {split: kept[split]._replace(tokens=ids[kept[split].tokens]) for split in SPLITS}, vocabulary


def _parts(n: int, sources: Mapping[str, Source], config: TextConfig) -> dict[str, npt.NDArray[np.int64]]:
    """Which of train's n sentences stay there, ``max_sentences`` at most, and which go to splits without a source."""
    parts = split_indices(n, config.split, sources["train"].place, valid="valid" not in sources, test="test" not in sources)
    if config.max_sentences is not None:
        order = shuffled_order(len(parts["train"]), config.split.seed, stream=1)
        parts["train"] = parts["train"][np.sort(order[: config.max_sentences])]
    return parts


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
        words = _UNITS.get(source.tokens, "words")
        raise DataError(
            f"{place}: none of {len(lengths)} sentences has {config.min_length} to {config.max_length} {words}"
            f" (they have {lengths.min()} to {lengths.max()}): {cure}"
        )
    return found.take(np.flatnonzero(wanted), config.max_length)

"""Text data: sentences as word ids in one flat array a split.

Legend: n sentences, V words, B sentences a batch, T positions of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator

from vae_core.data.arrays import digest, read_only
from vae_core.data.batching import TextBatch, plan_bucketed
from vae_core.data.corpus import Source, prepare
from vae_core.data.files import read_text
from vae_core.data.python_docs import documentation_sentences
from vae_core.data.sentences import Tokens, detect_tokens, lines, sentences
from vae_core.data.splitting import SPLITS
from vae_core.data.vocabulary import WordList

if TYPE_CHECKING:
    from vae_core.data.config import PythonDocs, TextConfig, TextFile, TextFiles, TextTable


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Sentence i is ``tokens[offsets[i]:offsets[i + 1]]``; without ``<s>`` and ``</s>``. The arrays are read-only."""

    tokens: npt.NDArray[np.int32]
    """(words of all sentences,)."""
    offsets: npt.NDArray[np.int64]
    """(n + 1,)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", read_only(self.tokens))
        object.__setattr__(self, "offsets", read_only(self.offsets))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,): words of each sentence."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class TextData:
    """Train, valid and test under one vocabulary, which comes from train alone."""

    modality: ClassVar[Literal["text"]] = "text"

    splits: Mapping[str, TextSplit]
    vocabulary: WordList
    name: str
    fingerprint: str
    """SHA-256 of the prepared content, 16 hex digits; the same wherever the files lie."""

    @classmethod
    def make(cls, splits: Mapping[str, TextSplit], vocabulary: WordList, name: str) -> TextData:
        """Puts the parts together and computes the fingerprint."""
        parts: list[str | np.ndarray[Any, Any]] = ["\n".join(vocabulary.words), vocabulary.counts]
        for split in SPLITS:
            parts += [split, splits[split].tokens, splits[split].offsets]
        return cls(dict(splits), vocabulary, name, digest(parts))

    def plan(self, split: str, batch_size: int, generator: Generator | None) -> list[npt.NDArray[np.int64]]:
        """The batches of an epoch as index arrays, of like lengths each; see ``plan_bucketed``."""
        return plan_bucketed(self.splits[split].lengths, batch_size, generator)

    def batch(self, split: str, index: npt.NDArray[np.integer[Any]], generator: Generator | None = None) -> TextBatch:
        """The sentences at these places, in new tensors. ``generator`` is what image data need; text draws nothing."""
        source, words = self.splits[split], self.vocabulary
        place = np.asarray(index, dtype=np.int64)
        assert place.size
        assert place.min() >= 0
        starts = source.offsets[place]
        lengths = source.offsets[place + 1] - starts
        position = np.arange(lengths.max() + 1)
        is_word = position < lengths[:, None]
        ids = source.tokens[(starts[:, None] + position)[is_word]]
        targets = np.full(is_word.shape, words.pad, dtype=np.int64)
        targets[is_word] = ids
        inputs = np.full(is_word.shape, words.pad, dtype=np.int64)
        inputs[:, 0] = words.bos
        inputs[:, 1:][is_word[:, :-1]] = ids
        targets[np.arange(len(place)), lengths] = words.eos
        return TextBatch(
            inputs=torch.from_numpy(inputs),
            targets=torch.from_numpy(targets),
            mask=torch.from_numpy(position <= lengths[:, None]),
            lengths=torch.from_numpy(lengths + 1),
        )


def load_python_docs(config: PythonDocs) -> TextData:
    """The sentences of the interpreter's documentation, split by ``config.split``.

    Raises:
        DataError: the interpreter has none, or the config's limits leave too few.
    """
    source = Source("data.kind: python_docs", documentation_sentences(), "words")
    return _text_data({"train": source}, config, "python_docs")


def load_text_file(config: TextFile) -> TextData:
    """Reads the files; a split that has none is taken from train by ``config.split``.

    How words are told apart is decided on train and holds for all three.

    Raises:
        DataError: a file cannot be read or has nothing to offer; the message names it and says what to do.
    """
    texts = {split: read_text(f"data.{split}", name, config.encoding) for split, name in _named(config).items()}
    tokens = detect_tokens(texts["train"]) if config.tokens == "auto" else config.tokens
    units = {split: lines(text) if config.unit == "line" else sentences(text, tokens) for split, text in texts.items()}
    return _from_files(units, tokens, config)


def load_text_table(config: TextTable) -> TextData:
    """Reads a column of text from each file; otherwise as ``load_text_file``.

    Raises:
        DataError: a file cannot be read or has nothing to offer; the message names it and says what to do.
    """
    cells = {split: config.read(f"data.{split}", name) for split, name in _named(config).items()}
    tokens = detect_tokens("\n".join(cells["train"])) if config.tokens == "auto" else config.tokens
    if config.unit == "row":
        return _from_files(cells, tokens, config)
    return _from_files({split: _sentences(texts, tokens) for split, texts in cells.items()}, tokens, config)


def _sentences(texts: Iterable[str], tokens: Tokens) -> Iterator[str]:
    return (sentence for text in texts for sentence in sentences(text, tokens))


def _named(config: TextFiles) -> dict[str, str]:
    """The files that there are, by split."""
    return {split: name for split in SPLITS if (name := getattr(config, split)) is not None}


def _from_files(units: Mapping[str, Iterable[str]], tokens: Tokens, config: TextFiles) -> TextData:
    sources = {split: Source(f"data.{split}: {getattr(config, split)}", texts, tokens) for split, texts in units.items()}
    return _text_data(sources, config, "/".join(Path(config.train).parts[-2:]))


def _text_data(sources: Mapping[str, Source], config: TextConfig, name: str) -> TextData:
    ragged, vocabulary = prepare(sources, config)
    return TextData.make({split: TextSplit(*ragged[split]) for split in SPLITS}, vocabulary, name)

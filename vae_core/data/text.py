"""Text data: sentences as word ids in one flat array a split.

Legend: n sentences, V words, B sentences a batch, T positions of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from vae_core.data.arrays import digest, read_only
from vae_core.data.base_config import short_name
from vae_core.data.batching import TextBatch, plan_bucketed, plan_shuffled
from vae_core.data.corpus import Source, prepare
from vae_core.data.files import read_text
from vae_core.data.labels import label_parts
from vae_core.data.python_docs import documentation_sentences
from vae_core.data.sentences import Tokens, detect_tokens, lines, sentences
from vae_core.data.splitting import SPLITS
from vae_core.data.vocabulary import WordList

if TYPE_CHECKING:
    from torch import Generator

    from vae_core.data.tables import Cells
    from vae_core.data.text_config import LabelledFiles, PlainText, Prose, PythonDocs, TextConfig, TextFile, TextTable
    from vae_core.seeding import Draws


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Sentence i is ``tokens[offsets[i]:offsets[i + 1]]``; without ``<s>`` and ``</s>``. The arrays are read-only."""

    tokens: npt.NDArray[np.int32]
    """(words of all sentences,)."""
    offsets: npt.NDArray[np.int64]
    """(n + 1,)."""
    labels: npt.NDArray[np.int64] | None = None
    """(n,): each sentence's label by number; None where there are none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", read_only(self.tokens))
        object.__setattr__(self, "offsets", read_only(self.offsets))
        if self.labels is not None:
            object.__setattr__(self, "labels", read_only(self.labels))

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
    labels: tuple[str, ...] | None = None
    """Names of the labels by number, those of train; None where there are none."""

    @classmethod
    def make(
        cls, splits: Mapping[str, TextSplit], vocabulary: WordList, name: str, labels: tuple[str, ...] | None = None
    ) -> TextData:
        """Puts the parts together and computes the fingerprint."""
        parts: list[str | np.ndarray[Any, Any]] = ["\n".join(vocabulary.words), vocabulary.counts]
        if vocabulary.merges is not None:
            parts += ["merges", "\n".join(map(" ".join, vocabulary.merges))]
        for split in SPLITS:
            parts += [split, splits[split].tokens, splits[split].offsets]
        parts += label_parts(labels, {split: splits[split].labels for split in SPLITS})
        return cls(dict(splits), vocabulary, name, digest(parts), labels)

    def plan(
        self, split: str, batch_size: int, generator: Generator | None, *, mixed: bool = False
    ) -> list[npt.NDArray[np.int64]]:
        """The batches of an epoch as index arrays: of like lengths each, see ``plan_bucketed``, or with lengths mixed.

        Args:
            mixed: each batch is a random draw of the split, with more padding; see ``plan_shuffled``.
        """
        lengths = self.splits[split].lengths
        return plan_shuffled(len(lengths), batch_size, generator) if mixed else plan_bucketed(lengths, batch_size, generator)

    def batch(self, split: str, index: npt.NDArray[np.integer[Any]], generator: Draws | None = None) -> TextBatch:
        """The sentences at these places, in new tensors. ``generator`` is what image data need; text draws nothing."""
        import torch

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
            labels=None if source.labels is None else torch.from_numpy(source.labels[place]),
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
    tokens, apart = _told_apart(config, texts["train"])
    sources = {split: Source(_place(config, split), _units(text, apart, config), tokens) for split, text in texts.items()}
    return _text_data(sources, config, short_name(config.train))


def load_labelled_files(config: LabelledFiles) -> TextData:
    """Reads the files, one a label; otherwise as ``load_text_file``.

    Raises:
        DataError: a file cannot be read or has nothing to offer, or a label of valid or test is none of train's.
    """
    texts = {
        split: {label: read_text(f"data.{split}.{label}", name, config.encoding) for label, name in named.items()}
        for split, named in _named(config).items()
    }
    tokens, apart = _told_apart(config, "\n".join(texts["train"].values()))
    sources = {}
    for split, by_label in texts.items():
        pairs = [(unit, label) for label, text in by_label.items() for unit in _units(text, apart, config)]
        sources[split] = Source(f"data.{split}", [unit for unit, _ in pairs], tokens, [label for _, label in pairs])
    return _text_data(sources, config, "+".join(short_name(name) for name in config.train.values()))


def load_text_table(config: TextTable) -> TextData:
    """Reads a column of text for each split, and its labels; otherwise as ``load_text_file``.

    Raises:
        DataError: a split cannot be read or has nothing to offer; the message names it and says what to do.
    """
    cells = config.cells()
    tokens, apart = _told_apart(config, "\n".join(cells["train"].texts))
    sources = {split: _table_source(_place(config, split), found, tokens, apart, config.unit) for split, found in cells.items()}
    return _text_data(sources, config, config.origin)


def _told_apart(config: Prose, train: str) -> tuple[Tokens, Tokens]:
    """What a word is, and by what words sentences are told apart, which what is learned of sentences cannot say."""
    tokens = detect_tokens(train) if config.tokens == "auto" else config.tokens
    return tokens, detect_tokens(train) if tokens == "bpe" else tokens


def _units(text: str, apart: Tokens, config: PlainText) -> Iterator[str]:
    return lines(text) if config.unit == "line" else sentences(text, apart)


def _table_source(place: str, cells: Cells, tokens: Tokens, apart: Tokens, unit: Literal["row", "sentence"]) -> Source:
    """The rows, or their sentences, each with its row's label."""
    if unit == "row":
        return Source(place, cells.texts, tokens, cells.labels)
    parts = [list(sentences(text, apart)) for text in cells.texts]
    labels = None if cells.labels is None else [label for label, own in zip(cells.labels, parts, strict=True) for _ in own]
    return Source(place, [sentence for own in parts for sentence in own], tokens, labels)


def _named(config: TextConfig) -> dict[str, Any]:
    """The sources that there are, by split."""
    return {split: name for split in SPLITS if (name := getattr(config, split)) is not None}


def _place(config: TextConfig, split: str) -> str:
    return f"data.{split}: {getattr(config, split)}"


def _text_data(sources: Mapping[str, Source], config: TextConfig, name: str) -> TextData:
    ragged, vocabulary, labels = prepare(sources, config)
    return TextData.make({split: TextSplit(*ragged[split]) for split in SPLITS}, vocabulary, name, labels)

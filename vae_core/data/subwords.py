"""Byte pair encoding on the bytes of a text (Sennrich et al. 2016; on bytes: Radford et al. 2019), by the ``tokenizers`` library.

A text is its words, each with the space before it, as bytes; each byte is written as one printable character (Ġ is the space).
No text is unknown, and every text comes back but for its runs of white space, each of which is one space.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vae_core.data.vocabulary import EOS, SPECIALS, WordList

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from vae_core.data.text_config import Vocabulary

Merges = tuple[tuple[str, str], ...]
"""Pairs of tokens that become one, the first learned first."""


class Subwords:
    """Learned merges, as they turn text into tokens.

    Args:
        tokens: all of them; their places are the ids that ``encode`` gives.
        merges: in order.
        lowercase: whether texts are lowered first.
    """

    def __init__(self, tokens: Sequence[str], merges: Merges, *, lowercase: bool) -> None:
        from tokenizers import models

        self.tokens, self.merges, self._lowercase = tuple(tokens), merges, lowercase
        self._tokenizer = _on_bytes(models.BPE({token: place for place, token in enumerate(tokens)}, list(merges)))

    @classmethod
    def learn(cls, texts: Iterable[str], options: Vocabulary) -> Subwords:
        """The most frequent pair becomes a token, again and again; the same on every machine.

        Args:
            texts: of the training split alone.
            options: with the specials there are ``max_size`` tokens at most; a pair that occurs less than ``min_count`` times
                becomes none.
        """
        from tokenizers import models, pre_tokenizers, trainers

        tokenizer = _on_bytes(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=options.max_size - len(SPECIALS),
            min_frequency=options.min_count,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator((_normalised(text, options.lowercase) for text in texts), trainer)
        found: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
        tokens = sorted(found["vocab"], key=found["vocab"].__getitem__)
        return cls(tokens, tuple((first, second) for first, second in found["merges"]), lowercase=options.lowercase)

    @classmethod
    def of(cls, vocabulary: WordList) -> Subwords:
        """Those of a vocabulary, so that ids are its own; its specials stand for no text."""
        assert vocabulary.merges is not None, "a vocabulary of words"
        return cls(vocabulary.words, vocabulary.merges, lowercase=vocabulary.lowercase)

    def encode(self, texts: Iterable[str]) -> list[npt.NDArray[np.int32]]:
        """The places of each text's tokens."""
        found = self._tokenizer.encode_batch([_normalised(text, self._lowercase) for text in texts])
        return [np.array(encoding.ids, dtype=np.int32) for encoding in found]

    def vocabulary(self, counts: npt.NDArray[np.int64], sentences: int) -> WordList:
        """The tokens and the four specials by falling frequency, ties in code point order.

        Args:
            counts: of each token in train.
            sentences: of train, hence occurrences of ``</s>``; the other specials never occur.
        """
        counted = dict(zip(self.tokens, counts.tolist(), strict=True)) | dict.fromkeys(SPECIALS, 0) | {EOS: sentences}
        words = sorted(counted, key=lambda word: (-counted[word], word))
        numbers = np.array([counted[word] for word in words], dtype=np.int64)
        return WordList(tuple(words), numbers, self._lowercase, "", self.merges)


def text_of(tokens: Iterable[str]) -> str:
    """The text that tokens spell; bytes that are no UTF-8, as where one was cut, become the replacement character."""
    from tokenizers import decoders

    spelled: str = decoders.ByteLevel().decode(list(tokens))
    return spelled.removeprefix(" ")


def _on_bytes(model: Any) -> Tokenizer:
    from tokenizers import Tokenizer, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # a sentence's first word is as any other
    return tokenizer


def _normalised(text: str, lowercase: bool) -> str:
    text = " ".join(text.split())
    return text.lower() if lowercase else text

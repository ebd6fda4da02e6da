"""A user's own examples as data: told apart as the training data were, for a finished model.

Legend: n examples; images are (n, H, W) or (n, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vae_core.checkpoint import LoadedModel
from vae_core.data.images import ImageData, ImageSplit
from vae_core.data.labels import label_number
from vae_core.data.ragged import Ragged
from vae_core.data.sentences import Tokens, to_words
from vae_core.data.subwords import Subwords
from vae_core.data.text import TextData, TextSplit
from vae_core.data.text_config import TextConfig
from vae_core.data.vocabulary import RESERVED, SPECIALS, WordList

GIVEN = "given"
"""The only split of such data."""


def given_text(loaded: LoadedModel, texts: Sequence[str], labels: Sequence[str] | None = None) -> TextData:
    """Sentences, one an example.

    Args:
        labels: by name; needed where the model reads them.

    Raises:
        ValueError: an example has no word, too many, or one that the model adds itself; or labels are missing or unknown.
    """
    vocabulary, config = loaded.vocabulary, loaded.config.data
    assert vocabulary is not None, "a model of images"
    assert isinstance(config, TextConfig)
    tokens = _tokens(vocabulary, getattr(config, "tokens", "auto"))
    if tokens == "bpe":
        rows = Subwords.of(vocabulary).encode(texts)
    else:
        words = [to_words(text, tokens) for text in texts]
        for place, row in enumerate(words):
            if taken := [word for word in row if (word.lower() if vocabulary.lowercase else word) in RESERVED]:
                raise ValueError(f"text {place}: contains {taken[0]} as a word, which the model adds itself")
        rows = [vocabulary.encode(row) for row in words]
    for place, ids in enumerate(rows):
        if not 1 <= len(ids) <= config.max_length:
            unit = {"character": "characters", "bpe": "tokens"}.get(tokens, "words")
            raise ValueError(f"text {place} has {len(ids)} {unit}; the model was trained on 1 to {config.max_length}")
    ragged = Ragged.of(rows, None)
    numbers = _numbers(loaded, len(texts), labels)
    return TextData({GIVEN: TextSplit(ragged.tokens, ragged.offsets, numbers)}, vocabulary, GIVEN, "", loaded.labels)


def given_images(loaded: LoadedModel, images: npt.ArrayLike, labels: Sequence[str] | None = None) -> ImageData:
    """Images in [0, 1], (n, H, W[, C]); black and white ones where the model was trained on such.

    Raises:
        ValueError: they have another shape or other values; or labels are missing or unknown.
    """
    assert loaded.shape is not None, "a model of text"
    pixels = np.asarray(images, dtype=np.float32)
    if pixels.shape[1:] != loaded.shape:
        raise ValueError(f"images are (n, {', '.join(map(str, loaded.shape))}) here, not {pixels.shape}")
    if not ((pixels >= 0.0) & (pixels <= 1.0)).all():  # so written, NaN is refused too
        raise ValueError("pixels must lie in [0, 1]: scale them")
    kind = getattr(loaded.config.data, "pixels", "grey")
    if kind != "grey" and not np.isin(pixels, (0.0, 1.0)).all():
        raise ValueError(f"the model was trained on black and white pixels (data.pixels: {kind}): make them 0 or 1")
    split = ImageSplit(pixels, _numbers(loaded, len(pixels), labels))
    return ImageData({GIVEN: split}, loaded.shape, "grey", GIVEN, "", loaded.labels)


def label_numbers(loaded: LoadedModel, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Labels by number, (n,).

    Raises:
        ValueError: the model tells none apart, or knows no such label.
    """
    if not loaded.model.label_count:
        raise ValueError("this model tells no labels apart: leave them out")
    assert loaded.labels is not None
    return np.array([label_number(name, loaded.labels, "label") for name in names], dtype=np.int64)


def _numbers(loaded: LoadedModel, count: int, labels: Sequence[str] | None) -> npt.NDArray[np.int64] | None:
    if not count:
        raise ValueError("give at least one example")
    if labels is None:
        if loaded.model.label_count:
            raise ValueError(f"this model reads labels: give each example's, of {', '.join(loaded.labels or ())}")
        return None
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} examples")
    return label_numbers(loaded, labels)


def _tokens(vocabulary: WordList, asked: Tokens | str) -> Tokens:
    """What a word is. Where training decided that, its vocabulary shows it: words and signs taken apart can be so no further."""
    if vocabulary.merges is not None:
        return "bpe"
    if vocabulary.separator == "":
        return "character"
    if asked in ("spaces", "words"):
        return "words" if asked == "words" else "spaces"
    apart = all(to_words(word, "words") == [word] for word in vocabulary.words if word not in SPECIALS)
    return "words" if apart else "spaces"

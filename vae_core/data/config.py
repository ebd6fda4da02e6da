"""The options of the data sets; free of torch and NumPy, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from vae_core.configurable import Config, Count

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

FileName = Annotated[str, Field(min_length=1)]


class Vocabulary(Config):
    """Which words are kept, by falling frequency in the training split (ties alphabetically)."""

    max_size: Annotated[int, Field(ge=5)] = 10000
    """At most this many entries, the four special ones counted."""
    min_count: Count = 2
    """Rarer words become <unk>. With 1, a text without <unk> teaches the model nothing of it, and each new word in valid and
    test costs it dearly."""
    lowercase: bool = False


class DataConfig(Config):
    """One data set; ``load`` reads it."""

    modality: ClassVar[Literal["text", "image"]]
    files: ClassVar[tuple[str, ...]] = ()
    """The fields that name a file."""

    def load(self) -> TextData | ImageData:
        """Reads the data and splits it.

        Raises:
            DataError: the file is missing, empty, binary, badly encoded or too small; says which, and where.
        """
        raise NotImplementedError


class Splitting(Config):
    """How one source becomes three splits: by position in an order that the seed draws; equal examples may fall apart."""

    valid: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    """Share of the source, at least one example."""
    test: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    """Share of the source, at least one example."""
    seed: Annotated[int, Field(ge=0)] = 0


class TextConfig(DataConfig):
    """What all text sets share."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    vocabulary: Vocabulary = Vocabulary()
    max_length: Annotated[int, Field(ge=2)] = 40
    """Words a sentence at most; see ``long``."""
    min_length: Count = 1
    long: Literal["drop", "cut"] = "drop"
    """What happens to a longer sentence."""
    max_sentences: Count | None = None
    """Keep at most this many training sentences, drawn by the split's seed; null: all."""
    split: Splitting = Splitting()
    """Used where ``valid`` or ``test`` is no source of its own: that share is taken from train."""

    @model_validator(mode="after")
    def _some_length_is_allowed(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length ({self.min_length}) is above max_length ({self.max_length}): no sentence would be left")
        return self

    def load(self) -> TextData:
        raise NotImplementedError


class PythonDocs(TextConfig):
    """The interpreter's own documentation (``pydoc_data.topics``), split into sentences: real English, no download."""

    kind: Literal["python_docs"] = "python_docs"

    def load(self) -> TextData:
        from vae_core.data.text import load_python_docs

        return load_python_docs(self)


class TextFile(TextConfig):
    """Text files given by path: train, valid and test; or train alone, split by seed."""

    files: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    kind: Literal["text_file"] = "text_file"
    train: FileName
    valid: FileName | None = None
    test: FileName | None = None
    unit: Literal["line", "sentence"] = "line"
    """A line is an example; or text is split into sentences: prose within its paragraphs, which a blank line ends; words
    already apart (see ``tokens``) within each line, at a lone full stop, and without headings such as ``= History =``."""
    tokens: Literal["auto", "spaces", "words"] = "auto"
    """What a word is: what stands between spaces; or words and signs, taken apart. auto: ``spaces`` where train has the word
    <unk>, or most of its full stops and commas stand alone."""
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "a".encode(value)
        except LookupError:
            raise ValueError(f"{value!r} is no text encoding that Python knows; such as utf-8, latin-1, cp1252, utf-16") from None
        return value

    def load(self) -> TextData:
        from vae_core.data.text import load_text_file

        return load_text_file(self)


class ImageConfig(DataConfig):
    """What all image sets share."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    pixels: Literal["dynamic", "static", "grey"] = "dynamic"
    """Binarised anew in each training batch (Burda et al. 2016; valid and test once), binarised once, or grey in [0, 1]."""
    split: Splitting = Splitting()

    def load(self) -> ImageData:
        raise NotImplementedError


class Digits(ImageConfig):
    """scikit-learn's 1,797 handwritten digits, 8 x 8."""

    kind: Literal["digits"] = "digits"

    def load(self) -> ImageData:
        from vae_core.data.images import load_digits

        return load_digits(self)


class Npz(ImageConfig):
    """Arrays of images in an .npz file, (n, height, width) or (n, height, width, channels), uint8 or float in [0, 1]."""

    files: ClassVar[tuple[str, ...]] = ("path",)
    kind: Literal["npz"] = "npz"
    path: FileName
    train: str = "x_train"
    """Name of the array in the file."""
    valid: str | None = None
    """null: a share of train by the split's seed."""
    test: str | None = "x_test"
    labels: str | None = None
    """Name of the array with train's labels, integers or text, for pictures; null: none."""

    def load(self) -> ImageData:
        from vae_core.data.images import load_npz

        return load_npz(self)


AnyData = Annotated[PythonDocs | TextFile | Digits | Npz, Field(discriminator="kind")]
"""The family's table."""

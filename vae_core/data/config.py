"""The options of the data sets; free of torch and NumPy, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config, Count, Share

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData


class Vocabulary(Config):
    """Which words are kept, by falling frequency in the training split (ties alphabetically)."""

    max_size: Annotated[int, Field(ge=5)] = 10000
    """At most this many entries, the four special ones counted."""
    min_count: Count = 1
    """Rarer words become <unk>."""
    lowercase: bool = False


class DataConfig(Config):
    """One data set; ``load`` reads it."""

    modality: ClassVar[Literal["text", "image"]]

    def load(self) -> TextData | ImageData:
        """Reads the data and splits it.

        Raises:
            DataError: the file is missing, empty, binary, badly encoded or too small; says which, and where.
        """
        raise NotImplementedError


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

    def load(self) -> TextData:
        raise NotImplementedError


class Splitting(Config):
    """How one source becomes three splits."""

    valid: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    test: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0


class PythonDocs(TextConfig):
    """The interpreter's own documentation (``pydoc_data.topics``), split into sentences: real English, no download."""

    kind: Literal["python_docs"] = "python_docs"
    split: Splitting = Splitting()

    def load(self) -> TextData:
        from vae_core.data.text import load_python_docs

        return load_python_docs(self)


class TextFile(TextConfig):
    """Text files given by path: train, valid and test; or train alone, split by seed."""

    kind: Literal["text_file"] = "text_file"
    train: str
    valid: str | None = None
    test: str | None = None
    split: Splitting = Splitting()
    """Used only where ``valid`` or ``test`` is not given: that share is taken from train."""
    unit: Literal["line", "sentence"] = "line"
    """A line is an example; or lines are joined into paragraphs (ended by a blank line) and split into sentences."""
    encoding: str = "utf-8"

    def load(self) -> TextData:
        from vae_core.data.text import load_text_file

        return load_text_file(self)


class ImageConfig(DataConfig):
    """What all image sets share."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    pixels: Literal["dynamic", "static", "grey"] = "dynamic"
    """Binarised anew each epoch (Burda et al. 2016), binarised once, or grey in [0, 1]."""
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

    kind: Literal["npz"] = "npz"
    path: str
    train: str = "x_train"
    """Name of the array in the file."""
    valid: str | None = None
    """null: a share of train by the split's seed."""
    test: str | None = "x_test"
    labels: str | None = None
    """Name of the array with train's labels, for pictures; null: none."""

    def load(self) -> ImageData:
        from vae_core.data.images import load_npz

        return load_npz(self)


AnyData = Annotated[PythonDocs | TextFile | Digits | Npz, Field(discriminator="kind")]
"""The family's table."""

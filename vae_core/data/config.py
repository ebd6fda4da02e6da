"""The options of the data sets; free of torch and NumPy, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vae_core.configurable import Config, Count

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

FileName = Annotated[str, Field(min_length=1)]
CHARACTERS = 200
"""The default of ``max_length`` where characters are counted, not words."""


def _known_encoding(value: str) -> str:
    try:
        "a".encode(value)
    except LookupError:
        raise ValueError(f"{value!r} is no text encoding that Python knows; such as utf-8, latin-1, cp1252, utf-16") from None
    return value


Encoding = Annotated[str, AfterValidator(_known_encoding)]


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
    """Words a sentence at most, characters with ``tokens: character``; see ``long``."""
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


class TextFiles(TextConfig):
    """What texts in files share: train, valid and test by path; or train alone, split by seed."""

    files: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    train: FileName
    valid: FileName | None = None
    test: FileName | None = None
    tokens: Literal["auto", "spaces", "words", "character"] = "auto"
    """What a word is: what stands between spaces; or words and signs, taken apart. auto: ``spaces`` where train has the word
    <unk>, or most of its full stops and commas stand alone. character: each character, a run of white space being one space,
    and <unk> one; ``max_length`` and ``min_length`` count characters then, 200 at most unless it says otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _characters_are_many(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("tokens") == "character":
            return {"max_length": CHARACTERS, **given}
        return given


class TextFile(TextFiles):
    """Text files."""

    kind: Literal["text_file"] = "text_file"
    unit: Literal["line", "sentence"] = "line"
    """A line is an example; or text is split into sentences: prose within its paragraphs, which a blank line ends; words
    already apart (see ``tokens``) within each line, at a lone full stop, and without headings such as ``= History =``."""
    encoding: Encoding = "utf-8"

    def load(self) -> TextData:
        from vae_core.data.text import load_text_file

        return load_text_file(self)


class TextTable(TextFiles):
    """What tables with a column of text share. An empty or null cell is left out, as a blank line is."""

    column: Annotated[str, Field(min_length=1)] = "text"
    """Name of the column."""
    unit: Literal["row", "sentence"] = "row"
    """A row is an example; or each row's text is split into sentences, see ``text_file``."""

    def load(self) -> TextData:
        from vae_core.data.text import load_text_table

        return load_text_table(self)

    def read(self, field: str, name: str) -> list[str]:
        """The column's cells, empty ones left out.

        Raises:
            DataError: the file cannot be read, or has no such column of text; with the line where the format has lines.
        """
        raise NotImplementedError


class Csv(TextTable):
    """Comma-separated values (RFC 4180) whose first line names the columns."""

    kind: Literal["csv"] = "csv"
    separator: Annotated[str, Field(min_length=1, max_length=1, pattern=r"[^\r\n\"]")] = ","
    """One character; "\\t" is a tab."""
    encoding: Encoding = "utf-8"

    def read(self, field: str, name: str) -> list[str]:
        from vae_core.data.tables import csv_column

        return csv_column(field, name, self.column, self.separator, self.encoding)


class JsonLines(TextTable):
    """A JSON object a line; the column is a key that every object has."""

    kind: Literal["json_lines"] = "json_lines"
    encoding: Encoding = "utf-8"

    def read(self, field: str, name: str) -> list[str]:
        from vae_core.data.tables import json_lines_column

        return json_lines_column(field, name, self.column, self.encoding)


class Parquet(TextTable):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"

    def read(self, field: str, name: str) -> list[str]:
        from vae_core.data.tables import parquet_column

        return parquet_column(field, name, self.column)


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
    """Arrays of images in an .npz file, (n, height, width) or (n, height, width, 1 or 3 channels), uint8 or float in [0, 1]."""

    files: ClassVar[tuple[str, ...]] = ("path",)
    kind: Literal["npz"] = "npz"
    path: FileName
    train: str = "x_train"
    """Name of the array in the file."""
    valid: str | None = None
    """null: a share of train by the split's seed."""
    test: str | None = "x_test"

    def load(self) -> ImageData:
        from vae_core.data.images import load_npz

        return load_npz(self)


AnyData = Annotated[PythonDocs | TextFile | Csv | JsonLines | Parquet | Digits | Npz, Field(discriminator="kind")]
"""The family's table."""

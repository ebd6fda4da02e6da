"""The options of the text sets; free of torch and NumPy, so that a sweep file is checked within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vae_core.configurable import Config, Count
from vae_core.data.base_config import DataConfig, FileName, Splitting, short_name

if TYPE_CHECKING:
    from vae_core.data.tables import Cells
    from vae_core.data.text import TextData

CHARACTERS = 200
"""The default of ``max_length`` where characters are counted, not words."""
BYTES = 260
"""Entries of a vocabulary of bytes, the four special ones counted."""


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


class Prose(TextConfig):
    """What texts of the user's own share: how words are told apart."""

    tokens: Literal["auto", "spaces", "words", "character", "bpe"] = "auto"
    """What a word is: what stands between spaces; or words and signs, taken apart. auto: ``spaces`` where train has the word
    <unk>, or most of its full stops and commas stand alone. character: each character, a run of white space being one space,
    and <unk> one; ``max_length`` and ``min_length`` count characters then, 200 at most unless it says otherwise. bpe: byte pair
    encoding on bytes (Sennrich et al. 2016), learned of train alone up to ``vocabulary.max_size``; no text is unknown, and all
    limits count its tokens."""

    @model_validator(mode="before")
    @classmethod
    def _characters_are_many(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("tokens") == "character":
            return {"max_length": CHARACTERS, **given}
        return given

    @model_validator(mode="after")
    def _room_for_every_byte(self) -> Self:
        if self.tokens == "bpe" and self.vocabulary.max_size <= BYTES:
            raise ValueError(
                f"vocabulary.max_size: {self.vocabulary.max_size} is too small for tokens: bpe: 256 bytes and 4 special entries"
                f" leave no room for a pair; give more than {BYTES}"
            )
        return self


class PlainText(Prose):
    """What plain text shares, one file a split or one a label."""

    files: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    unit: Literal["line", "sentence"] = "line"
    """A line is an example; or text is split into sentences: prose within its paragraphs, which a blank line ends; words
    already apart (see ``tokens``) within each line, at a lone full stop, and without headings such as ``= History =``."""
    encoding: Encoding = "utf-8"


class TextFile(PlainText):
    """Text files: train, valid and test; or train alone, split by seed."""

    kind: Literal["text_file"] = "text_file"
    train: FileName
    valid: FileName | None = None
    test: FileName | None = None

    def load(self) -> TextData:
        from vae_core.data.text import load_text_file

        return load_text_file(self)


class LabelledFiles(PlainText):
    """Text files, one a label: ``train: {pos: a.txt, neg: b.txt}``."""

    kind: Literal["labelled_files"] = "labelled_files"
    train: Annotated[dict[str, FileName], Field(min_length=1)]
    """Name of the label: its file."""
    valid: Annotated[dict[str, FileName], Field(min_length=1)] | None = None
    test: Annotated[dict[str, FileName], Field(min_length=1)] | None = None

    @property
    def labelled(self) -> bool:
        return True

    def load(self) -> TextData:
        from vae_core.data.text import load_labelled_files

        return load_labelled_files(self)


class TextTable(Prose):
    """What tables with a column of text share. A row whose text is empty or null is left out, as a blank line is."""

    label_option: ClassVar[str | None] = "label_column"
    column: Annotated[str, Field(min_length=1)] = "text"
    """Name of the column."""
    label_column: Annotated[str, Field(min_length=1)] | None = None
    """Name of the column that holds each row's label: text, an integer or a truth value; null: there are no labels."""
    unit: Literal["row", "sentence"] = "row"
    """A row is an example; or each row's text is split into sentences, see ``text_file``."""

    @property
    def labelled(self) -> bool:
        return self.label_column is not None

    @property
    def origin(self) -> str:
        """What the data are called in reports."""
        raise NotImplementedError

    def load(self) -> TextData:
        from vae_core.data.text import load_text_table

        return load_text_table(self)

    def cells(self) -> dict[str, Cells]:
        """Of each split that has a source: the rows whose text is not empty.

        Raises:
            DataError: a source cannot be read, or has no such column of text or labels; with the line where it has lines.
        """
        raise NotImplementedError


class TableFiles(TextTable):
    """What tables in files share: train, valid and test by path; or train alone, split by seed."""

    files: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    train: FileName
    valid: FileName | None = None
    test: FileName | None = None

    @property
    def origin(self) -> str:
        return short_name(self.train)

    def cells(self) -> dict[str, Cells]:
        named = {split: getattr(self, split) for split in self.files}
        return {split: self.read(f"data.{split}", name) for split, name in named.items() if name is not None}

    def read(self, field: str, name: str) -> Cells:
        """The cells of one file.

        Raises:
            DataError: see ``cells``.
        """
        raise NotImplementedError


class Csv(TableFiles):
    """Comma-separated values (RFC 4180) whose first line names the columns."""

    kind: Literal["csv"] = "csv"
    separator: Annotated[str, Field(min_length=1, max_length=1, pattern=r"[^\r\n\"]")] = ","
    """One character; "\\t" is a tab."""
    encoding: Encoding = "utf-8"

    def read(self, field: str, name: str) -> Cells:
        from vae_core.data.tables import read_csv

        return read_csv(field, name, self)


class JsonLines(TableFiles):
    """A JSON object a line; the column is a key that every object has."""

    kind: Literal["json_lines"] = "json_lines"
    encoding: Encoding = "utf-8"

    def read(self, field: str, name: str) -> Cells:
        from vae_core.data.tables import read_json_lines

        return read_json_lines(field, name, self)


class Parquet(TableFiles):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"

    def read(self, field: str, name: str) -> Cells:
        from vae_core.data.tables import read_parquet

        return read_parquet(field, name, self)


class HuggingFace(TextTable):
    """A data set of the library ``datasets``: of Hugging Face's hub, in a directory of files, or written by ``save_to_disk``."""

    places: ClassVar[tuple[str, ...]] = ("name",)
    kind: Literal["huggingface"] = "huggingface"
    name: Annotated[str, Field(min_length=1)]
    """On the hub, such as stanfordnlp/imdb; or a directory."""
    config: Annotated[str, Field(min_length=1)] | None = None
    """Which of a data set's configurations; null: its only one."""
    train: Annotated[str, Field(min_length=1)] = "train"
    """Name of the split there."""
    valid: Annotated[str, Field(min_length=1)] | None = "validation"
    """null: a share of train by the split's seed."""
    test: Annotated[str, Field(min_length=1)] | None = "test"

    @property
    def origin(self) -> str:
        return short_name(self.name) if self.config is None else f"{short_name(self.name)}/{self.config}"

    def cells(self) -> dict[str, Cells]:
        from vae_core.data.hub import read_hugging_face

        return read_hugging_face(self)

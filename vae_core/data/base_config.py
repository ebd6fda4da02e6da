"""What the options of every data set share; free of torch and NumPy, so that a sweep file is checked within a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from vae_core.configurable import Config
from vae_core.data.remote import check_address, is_address

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData

FileName = Annotated[str, Field(min_length=1), AfterValidator(check_address)]
"""A path, or an address: http:// or https://."""


def short_name(path: str) -> str:
    """The last two parts of a path or an address: what a data set is called, wherever it lies."""
    return "/".join(Path(urlsplit(path).path if is_address(path) else path).parts[-2:])


class DataConfig(Config):
    """One data set; ``load`` reads it."""

    modality: ClassVar[Literal["text", "image"]]
    files: ClassVar[tuple[str, ...]] = ()
    """The fields that name a file."""
    places: ClassVar[tuple[str, ...]] = ()
    """The fields that name a directory, or something that is no path."""

    label_option: ClassVar[str | None] = None
    """The field by which labels are asked for; None: there is none."""

    @property
    def labelled(self) -> bool:
        """Whether each example has a label."""
        return False

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

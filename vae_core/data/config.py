"""The table of data sets, and the options of those of images; free of torch and NumPy, as its neighbours are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vae_core.configurable import Config
from vae_core.data.base_config import DataConfig, FileName, Splitting
from vae_core.data.text_config import (
    Csv,
    HuggingFace,
    JsonLines,
    LabelledFiles,
    Parquet,
    PythonDocs,
    TextConfig,
    TextFile,
)
from vae_core.plugins import extended

if TYPE_CHECKING:
    from vae_core.data.images import ImageData


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
    label_option: ClassVar[str | None] = "labels"
    labels: bool = False
    """Whether each image comes with its digit as its label."""

    @property
    def labelled(self) -> bool:
        return self.labels

    def load(self) -> ImageData:
        from vae_core.data.images import load_digits

        return load_digits(self)


class NpzLabels(Config):
    """Names of the arrays of labels in the file, (n,) integers, truth values or text; one for each array of images."""

    train: str = "y_train"
    valid: str | None = None
    test: str | None = "y_test"


class Npz(ImageConfig):
    """Arrays of images in an .npz file, (n, height, width) or (n, height, width, 1 or 3 channels), uint8 or float in [0, 1]."""

    files: ClassVar[tuple[str, ...]] = ("path",)
    kind: Literal["npz"] = "npz"
    label_option: ClassVar[str | None] = "labels"
    path: FileName
    train: str = "x_train"
    """Name of the array in the file."""
    valid: str | None = None
    """null: a share of train by the split's seed."""
    test: str | None = "x_test"
    labels: NpzLabels | None = None
    """null: there are no labels."""

    @model_validator(mode="after")
    def _labels_for_the_same_splits(self) -> Self:
        if self.labels is None:
            return self
        for split in ("valid", "test"):
            images, labels = getattr(self, split), getattr(self.labels, split)
            if (images is None) != (labels is None):
                raise ValueError(
                    f"labels.{split} is {labels or 'null'}, but {split} is {images or 'null'}: name both arrays, or neither"
                )
        return self

    @property
    def labelled(self) -> bool:
        return self.labels is not None

    def load(self) -> ImageData:
        from vae_core.data.images import load_npz

        return load_npz(self)


AnyData = Annotated[
    PythonDocs | TextFile | LabelledFiles | Csv | JsonLines | Parquet | HuggingFace | Digits | Npz, Field(discriminator="kind")
]
"""The family's table."""
if not TYPE_CHECKING:
    AnyData = extended(AnyData, (TextConfig, ImageConfig), "data")

"""Image data: pixels as one array a split.

Legend: n images of height H, width W and, where there are any, C channels; B images a batch.
"""

from __future__ import annotations

import difflib
import gzip
import importlib.util
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from vae_core.data.arrays import digest, read_only
from vae_core.data.base_config import short_name
from vae_core.data.batching import ImageBatch, plan_shuffled
from vae_core.data.errors import DataError
from vae_core.data.files import existing_file
from vae_core.data.labels import Numbers, label_names, label_parts, label_text, number_labels, require_examples
from vae_core.data.splitting import SPLITS, split_indices

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vae_core.data.config import Digits, ImageConfig, Npz
    from vae_core.seeding import Draws

Array = np.ndarray[Any, np.dtype[Any]]
PixelKind = Literal["dynamic", "static", "grey"]
_BINARISATION_SEED = 0


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """The array is read-only."""

    pixels: Array
    """(n, H, W[, C]): uint8, 255 is white; or float32 in [0, 1]."""
    labels: npt.NDArray[np.int64] | None = None
    """(n,): each image's label by number; None where there are none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", read_only(self.pixels))
        if self.labels is not None:
            object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Train, valid and test of one shape."""

    modality: ClassVar[Literal["image"]] = "image"

    splits: Mapping[str, ImageSplit]
    shape: tuple[int, ...]
    """(H, W) or (H, W, C)."""
    pixels: PixelKind
    """``dynamic``: train is grey here and drawn black or white anew in each batch, each pixel on with its grey level as
    probability (Burda et al. 2016); valid and test were drawn once, the same for every trial. ``static``: all were drawn
    once. ``grey``: none."""
    name: str
    fingerprint: str
    """SHA-256 of the prepared content, 16 hex digits; the same wherever the file lies."""
    labels: tuple[str, ...] | None = None
    """Names of the labels by number, those of train; None where there are none."""

    @classmethod
    def make(
        cls, splits: Mapping[str, ImageSplit], pixels: PixelKind, name: str, labels: tuple[str, ...] | None = None
    ) -> ImageData:
        """Draws black and white where ``pixels`` asks for it, and computes the fingerprint."""
        once = {"dynamic": ("valid", "test"), "static": SPLITS, "grey": ()}[pixels]
        ready = {
            split: _binarised(splits[split], stream) if split in once else splits[split] for stream, split in enumerate(SPLITS)
        }
        parts: list[str | Array] = [pixels]
        for split in SPLITS:
            parts += [split, ready[split].pixels]
        parts += label_parts(labels, {split: ready[split].labels for split in SPLITS})
        return cls(ready, ready["train"].pixels.shape[1:], pixels, name, digest(parts), labels)

    def plan(
        self, split: str, batch_size: int, generator: Generator | None, *, mixed: bool = False
    ) -> list[npt.NDArray[np.int64]]:
        """The batches of an epoch as index arrays; see ``plan_shuffled``. ``mixed`` is what text needs; images always are."""
        return plan_shuffled(len(self.splits[split]), batch_size, generator)

    def batch(self, split: str, index: npt.NDArray[np.integer[Any]], generator: Draws | None = None) -> ImageBatch:
        """The images at these places, flattened, in a new tensor.

        Raises:
            ValueError: train with dynamic pixels needs a generator to draw them.
        """
        import torch

        place = np.asarray(index, dtype=np.int64)
        assert place.size
        source = self.splits[split]
        pixels = torch.from_numpy(source.pixels[place].reshape(len(place), -1))
        if pixels.dtype == torch.uint8:
            pixels = pixels.float().div_(255)
        if self.pixels == "dynamic" and split == "train":
            if generator is None:
                raise ValueError("dynamic pixels of train are drawn anew in each batch: give a generator")
            pixels = (_uniform(place, pixels.shape[1], generator) < pixels).float()
        return ImageBatch(pixels, None if source.labels is None else torch.from_numpy(source.labels[place]))


def _uniform(place: npt.NDArray[np.int64], count: int, draws: Draws) -> Tensor:
    """So many numbers in [0, 1) for each example, (B, count)."""
    import torch

    if isinstance(draws, torch.Generator):
        return torch.rand(len(place), count, generator=draws)
    return torch.stack([torch.rand(count, generator=draws(int(each))) for each in place])


def load_digits(config: Digits) -> ImageData:
    """scikit-learn's 1,797 digits, 8 x 8 with 17 grey levels, split by ``config.split``; the package brings them along."""
    rows = _bundled_digits()
    images, digits = rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
    source = ImageSplit((images / 16).astype(np.float32), digits if config.labels else None)
    names = tuple(map(str, range(10))) if config.labels else None
    return _image_data({"train": source}, config, "digits", "data.kind: digits", names)


def _bundled_digits() -> npt.NDArray[np.float64]:
    """(1797, 64 grey levels from 0 to 16 and the digit), from where scikit-learn has it, without a second for its import."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with gzip.open(Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",")


def load_npz(config: Npz) -> ImageData:
    """The named arrays of the file; a split that has none is taken from train by ``config.split``.

    Raises:
        DataError: the file is missing or no .npz, or an array is missing, of another shape, or not of grey levels.
    """
    path = existing_file("data.path", config.path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"data.path: {config.path} is no .npz file: save the arrays under their names with numpy.savez")
    with np.load(path, allow_pickle=False) as archive:
        read = _Reader(config.path, archive)
        named = {split: name for split in SPLITS if (name := getattr(config, split)) is not None}
        sources = {split: ImageSplit(read.pixels(f"data.{split}", name)) for split, name in named.items()}
        names, numbers = _labels(read, config, {split: len(source) for split, source in sources.items()})
    shapes = {split: _times(source.pixels.shape[1:]) for split, source in sources.items()}
    for split, shape in shapes.items():
        if shape != shapes["train"]:
            raise DataError(f"data.{split}: images of {config.path} are {shape}, those of train {shapes['train']}: use one shape")
    sources = {split: ImageSplit(source.pixels, numbers.get(split)) for split, source in sources.items()}
    return _image_data(sources, config, short_name(config.path), f"data.path: {config.path}", names)


def _labels(read: _Reader, config: Npz, sizes: Mapping[str, int]) -> tuple[tuple[str, ...] | None, dict[str, Numbers]]:
    """Names of the labels, and the labels of each split that has an array, (n,)."""
    if config.labels is None:
        return None, {}
    found = {split: read.labels(f"data.labels.{split}", getattr(config.labels, split), n) for split, n in sizes.items()}
    names = label_names(found["train"])
    return names, {split: number_labels(f"data.labels.{split}", labels, names) for split, labels in found.items()}


class _Reader:
    """Takes arrays out of an archive, with messages that name the file, the field and the array."""

    def __init__(self, path: str, archive: np.lib.npyio.NpzFile) -> None:
        self.path, self.archive = path, archive

    def pixels(self, field: str, name: str) -> Array:
        """(n, H, W[, C]) as uint8 or float32; booleans become 0 and 255."""
        array = self._array(field, name)
        if array.ndim not in (3, 4) or 0 in array.shape:
            raise self._fault(
                field, name, f"has shape {array.shape}", "images are (n, height, width) or (n, height, width, channels)"
            )
        if array.shape[3:] not in ((), (1,), (3,)):
            what = f"has shape {array.shape}, hence {array.shape[3]} channels"
            raise self._fault(field, name, what, "images have 1 (grey) or 3 (colour), as the last axis")
        if array.dtype == np.bool_:
            return array.astype(np.uint8) * np.uint8(255)
        if array.dtype == np.uint8:
            if array.max() == 1:
                raise self._fault(
                    field, name, "holds only 0 and 1, which as grey levels of 255 are all but black", "save it as bool or float32"
                )
            return array
        if not np.issubdtype(array.dtype, np.floating):
            raise self._fault(field, name, f"is {array.dtype}", "save it as uint8 (0 to 255), float (0 to 1) or bool")
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):  # so written, NaN is refused too
            raise self._fault(field, name, f"goes from {low:g} to {high:g}", "floats must lie in [0, 1]: scale them")
        return array.astype(np.float32)

    def labels(self, field: str, name: str, n: int) -> list[str]:
        """The labels of n images by name."""
        array = self._array(field, name)
        if array.shape != (n,):
            raise self._fault(field, name, f"has shape {array.shape}", f"labels are ({n},), one for each image")
        if array.dtype.kind not in "iubU":
            raise self._fault(field, name, f"is {array.dtype}", "save labels as integers, truth values or text")
        return [str(label_text(label)) for label in array]

    def _array(self, field: str, name: str) -> Array:
        if name not in self.archive.files:
            near = difflib.get_close_matches(name, self.archive.files, n=1)
            cure = f"did you mean {near[0]}?" if near else "name one of them"
            if field in ("data.valid", "data.test"):  # labels go with their images
                cure += ", or null to take a share of train"
            raise DataError(
                f"{field}: {self.path} has no array {name!r}; it has {', '.join(self.archive.files) or 'none at all'}: {cure}"
            )
        try:
            array: Array = self.archive[name]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:  # objects, or a damaged file
            raise self._fault(field, name, "cannot be read as plain numbers", "save it again with numpy.savez") from error
        if not isinstance(array, np.ndarray):
            raise self._fault(field, name, "is no array", "save it again with numpy.savez")
        return array

    def _fault(self, field: str, name: str, what: str, cure: str) -> DataError:
        return DataError(f"{field}: array {name!r} of {self.path} {what}; {cure}")


def _image_data(
    sources: Mapping[str, ImageSplit], config: ImageConfig, name: str, place: str, labels: tuple[str, ...] | None
) -> ImageData:
    whole = sources["train"]
    parts = split_indices(len(whole), config.split, place, valid="valid" not in sources, test="test" not in sources)
    taken = {
        split: ImageSplit(whole.pixels[index], None if whole.labels is None else whole.labels[index])
        for split, index in parts.items()
    }
    splits = {**sources, **taken}
    if labels is not None:
        require_examples(place, labels, splits["train"].labels)
    return ImageData.make(splits, config.pixels, name, labels)


def _binarised(split: ImageSplit, stream: int) -> ImageSplit:
    """Each pixel white with its grey level as probability, by a seed that no trial changes, so that scores compare."""
    generator = np.random.Generator(np.random.PCG64([_BINARISATION_SEED, stream]))
    white = np.empty(split.pixels.shape, dtype=np.uint8)
    for place, image in enumerate(split.pixels):  # one by one: random numbers for all would take 8 bytes a pixel
        white[place] = (generator.random(image.shape) * _white(image) < image) * np.uint8(255)
    return ImageSplit(white, split.labels)


def _white(pixels: Array) -> int:
    """The value of a white pixel."""
    return 255 if pixels.dtype == np.uint8 else 1


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

"""Image data: scaling, binarisation, files, faults, sharing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vae_core.data import DataError, Digits, Npz
from vae_core.data.images import ImageData, ImageSplit

GREY = np.linspace(0, 255, 30 * 4 * 5).reshape(30, 4, 5).astype(np.uint8)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def made(pixels: Any, kind: Any) -> ImageData:
    split = ImageSplit(pixels)
    return ImageData.make({"train": split, "valid": split, "test": split}, kind, "made")


@pytest.mark.parametrize("array", [GREY, (GREY / 255).astype(np.float32)], ids=["uint8", "float32"])
def test_grey_levels_become_numbers_between_0_and_1(array: Any) -> None:
    batch = made(array, "grey").batch("train", np.array([29, 0]))
    assert batch.pixels.dtype == torch.float32
    assert batch.pixels.shape == (2, 20)
    np.testing.assert_allclose(batch.pixels.numpy(), GREY[[29, 0]].reshape(2, 20) / 255, rtol=1e-6)
    assert batch.pixels.max() == 1.0
    assert batch.size == batch.to("cpu").size == 2


def test_dynamic_pixels_are_drawn_anew_for_train_and_once_for_the_others() -> None:
    data = made(GREY, "dynamic")
    index = np.arange(30)
    one = seeded(0)
    first, second = data.batch("train", index, one).pixels, data.batch("train", index, one).pixels
    assert not torch.equal(first, second)
    assert torch.equal(first, data.batch("train", index, seeded(0)).pixels)
    for split in ("valid", "test"):
        fixed = data.batch(split, index).pixels
        assert torch.equal(fixed, data.batch(split, index, seeded(1)).pixels)
        assert set(fixed.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(data.batch("valid", index).pixels, data.batch("test", index).pixels)
    with pytest.raises(ValueError, match="give a generator"):
        data.batch("train", index)


@pytest.mark.parametrize("kind", ["dynamic", "static"])
@pytest.mark.parametrize("as_float", [False, True])
def test_a_pixel_is_on_with_its_grey_level_as_probability(kind: Any, as_float: bool) -> None:
    levels = np.array([0, 51, 204, 255], dtype=np.uint8)
    pixels = np.tile(levels, (20_000, 1)).reshape(20_000, 2, 2)
    data = made((pixels / 255).astype(np.float32) if as_float else pixels, kind)
    drawn = data.batch("train", np.arange(20_000), seeded(0)).pixels
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    mean = drawn.mean(0).tolist()
    assert (mean[0], mean[3]) == (0.0, 1.0)
    assert mean[1] == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 20_000) ** 0.5)
    assert mean[2] == pytest.approx(0.8, abs=4 * (0.2 * 0.8 / 20_000) ** 0.5)


def test_static_pixels_are_the_same_in_every_trial() -> None:
    one, two = made(GREY, "static"), made(GREY.copy(), "static")
    assert one.fingerprint == two.fingerprint
    assert torch.equal(one.batch("train", np.arange(30), seeded(0)).pixels, two.batch("train", np.arange(30), seeded(1)).pixels)
    assert len({made(GREY, kind).fingerprint for kind in ("static", "dynamic", "grey")}) == 3


@pytest.mark.parametrize("kind", ["dynamic", "static", "grey"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("read_only", [False, True])
def test_writing_to_a_batch_leaves_the_shared_array_alone(kind: Any, dtype: Any, read_only: bool) -> None:
    source = (GREY / 255 if dtype == np.float32 else GREY).astype(dtype)
    source.flags.writeable = not read_only
    data = made(source, kind)
    before = {name: split.pixels.copy() for name, split in data.splits.items()}
    for name in data.splits:
        data.batch(name, np.arange(30), seeded(0)).pixels.fill_(-1)
        data.batch(name, np.arange(1), seeded(0)).pixels.fill_(-1)
    for name, split in data.splits.items():
        assert (split.pixels == before[name]).all()
        with pytest.raises(ValueError, match="read-only"):
            split.pixels[0] = 0


def test_digits() -> None:
    data = Digits().load()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1437, "valid": 180, "test": 180}
    assert data.shape == (8, 8)
    grey = Digits(pixels="grey").load()
    levels = (grey.splits["train"].pixels * 16).ravel()
    assert set(np.unique(levels).tolist()) == set(range(17))
    assert pickle.loads(pickle.dumps(data)).fingerprint == Digits().load().fingerprint == data.fingerprint
    assert [len(batch) for batch in data.plan("valid", 64, None)] == [64, 64, 52]


def test_npz_takes_the_named_arrays_and_shares_of_train(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x=GREY, z=GREY[:7])
    data = Npz(path=path, train="x", test="z", pixels="grey").load()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 27, "valid": 3, "test": 7}
    both = np.concatenate((data.splits["train"].pixels, data.splits["valid"].pixels))
    assert sorted(both.reshape(30, -1).tolist()) == sorted(GREY.reshape(30, -1).tolist())  # no two of them are the same
    assert (data.splits["test"].pixels == GREY[:7]).all()
    whole = Npz(path=path, train="x", valid="z", test="z", pixels="grey").load()
    assert len(whole.splits["train"]) == 30
    assert whole.name == f"{tmp_path.name}/a.npz"


@pytest.mark.parametrize("channels", [1, 3])
def test_npz_of_booleans_and_channels(tmp_path: Path, channels: int) -> None:
    colour = np.zeros((6, 2, 2, channels), dtype=bool)
    colour[..., 0] = True
    path = save(tmp_path / "a.npz", x=colour)
    data = Npz(path=path, train="x", test=None, pixels="static").load()
    assert data.shape == (2, 2, channels)
    assert data.batch("train", np.array([0])).pixels.tolist() == [[1.0, 0.0, 0.0][:channels] * 4]
    assert sum(len(split) for split in data.splits.values()) == 6


def test_the_fingerprint_is_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    paths = [save(tmp_path / name, x=array) for name, array in (("a.npz", GREY), ("b.npz", GREY), ("c.npz", GREY[::-1]))]
    one, two, other = (Npz(path=path, train="x", test=None).load().fingerprint for path in paths)
    assert one == two != other
    assert one == "e49691a64e0e2ff6"  # of this content, on every machine


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x_tran": GREY}, {}, r"data\.train: \S+ has no array 'x_train'; it has x_tran: did you mean x_tran\?"),
        ({"x": GREY}, {"train": "x"}, r"data\.test: .* has no array 'x_test'; it has x: .*null to take a share of train"),
        ({"x": GREY[0]}, {"train": "x", "test": None}, r"array 'x' of \S+ has shape \(4, 5\); images are \(n, height, width\)"),
        ({"x": GREY[:0]}, {"train": "x", "test": None}, r"has shape \(0, 4, 5\)"),
        ({"x": GREY.astype(np.int64)}, {"train": "x", "test": None}, r"is int64; save it as uint8 \(0 to 255\)"),
        ({"x": GREY / 1.0}, {"train": "x", "test": None}, r"goes from 0 to 255; floats must lie in \[0, 1\]"),
        ({"x": np.full((9, 2, 2), np.nan)}, {"train": "x", "test": None}, "goes from nan to nan"),
        ({"x": (GREY > 99).astype(np.uint8)}, {"train": "x", "test": None}, "holds only 0 and 1.*save it as bool"),
        ({"x": np.array([{}])}, {"train": "x", "test": None}, "cannot be read as plain numbers"),
        (
            {"x": GREY, "z": GREY[:, 1:]},
            {"train": "x", "test": "z"},
            r"data\.test: images of \S+ are 3 x 5, those of train 4 x 5",
        ),
        ({"x": GREY.reshape(30, 2, 5, 2)}, {"train": "x", "test": None}, r"hence 2 channels; images have 1 \(grey\) or 3"),
        ({"x": GREY.reshape(30, 5, 1, 4)}, {"train": "x", "test": None}, r"array 'x' of \S+ has shape .* hence 4 channels"),
        ({"x": GREY[:2]}, {"train": "x", "test": None}, "2 examples, too few for train and valid and test"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        Npz(path=path, **options).load()
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    np.save(tmp_path / "bare.npy", GREY)
    for name, message in (
        ("a.txt", "is no .npz file"),
        ("bare.npy", "is no .npz file"),
        ("none.npz", "no such file"),
        (".", "a directory"),
    ):
        with pytest.raises(DataError, match=message):
            Npz(path=str(tmp_path / name)).load()


def test_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save(path, x=np.arange(60_000, dtype=np.uint8).reshape(-1, 10, 10))
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF  # the checksum no longer holds
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as plain numbers"):
        Npz(path=str(path), train="x", test=None).load()


def test_mnist_has_its_published_sizes(data_directory: Path) -> None:
    data = Npz(path=str(data_directory / "mnist" / "mnist.npz")).load()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 54_000, "valid": 6_000, "test": 10_000}
    assert data.shape == (28, 28)
    assert data.splits["train"].pixels.mean() / 255 == pytest.approx(0.1307, abs=0.001)  # the set's known mean

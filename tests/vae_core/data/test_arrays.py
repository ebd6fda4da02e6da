"""The digest of shared arrays: of the content, not of its layout."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vae_core.data.arrays import digest, read_only


def test_the_digest_is_sha_256_of_kinds_sizes_and_little_endian_bytes() -> None:
    content = b"str 2;abarray i4 [2];" + bytes([1, 0, 0, 0, 2, 0, 0, 0])
    assert digest(["ab", np.array([1, 2], dtype=np.int32)]) == hashlib.sha256(content).hexdigest()[:16]


def test_neither_byte_order_nor_strides_change_it() -> None:
    array = np.arange(12, dtype="<i8").reshape(3, 4)
    assert digest([array]) == digest([array.astype(">i8")]) == digest([np.asfortranarray(array)]) == digest([read_only(array)])


@pytest.mark.parametrize(
    "other",
    [
        ["ab", "c", np.zeros(2, dtype=np.int32)],
        ["a", "bc", np.zeros(2, dtype=np.int64)],
        ["a", "bc", np.zeros((2, 1), dtype=np.int32)],
        ["a", "bc", np.zeros(2, dtype=np.float32)],
        ["a", "bc", np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int32)],
    ],
)
def test_content_type_and_shape_do(other: list[str | np.ndarray]) -> None:
    assert digest(other) != digest(["a", "bc", np.zeros(2, dtype=np.int32)])


def test_a_read_only_view_shares_memory_and_leaves_the_original_writable() -> None:
    array = np.zeros(3)
    view = read_only(array)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    array[0] = 1
    assert view[0] == 1

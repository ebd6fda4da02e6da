"""What both kinds of data do with the arrays that trials share: protect them, and tell them apart by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(array: np.ndarray[Any, np.dtype[Scalar]]) -> np.ndarray[Any, np.dtype[Scalar]]:
    """A view that cannot be written through: one trial's in-place write would corrupt the data of all the others."""
    view = array.view()
    view.flags.writeable = False
    return view


def digest(parts: Iterable[str | np.ndarray[Any, Any]]) -> str:
    """The first 16 hex digits of the SHA-256 of the parts; the same on every machine, whatever its byte order.

    Each part is preceded by its kind and size, so that no two different lists of parts read as the same bytes.
    """
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content = part.encode()
            sha.update(f"str {len(content)};".encode())
            sha.update(content)
        else:
            little = np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<"))
            sha.update(f"array {little.dtype.str.lstrip('<|')} {list(little.shape)};".encode())
            sha.update(little.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()[:16]

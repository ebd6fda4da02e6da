"""A small file that is replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """In one step: a reader sees the old or the new, never a part. Only its owner may read it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(text)
            file.flush()
        except BaseException:
            temporary.unlink()
            raise
    os.replace(temporary, path)  # noqa: PTH105 - in one step

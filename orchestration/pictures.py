"""Keeps the pictures of an epoch under the names by which MLflow's UI shows them as a slider over epochs.

The names are those of MLflow's ``log_image(key=, step=)``, but decided once: an epoch that is trained again after a kill writes
the same files, so none is in the record twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_core.generate import Images

FOLDER = "images"
"""Among a run's artifacts, where the UI looks."""
TAG = "mlflow.loggedImages"
"""Says that a run has any."""
_NAMESPACE = uuid.UUID("5d2f4c0e-7f6b-4b83-9e5e-6f0c3c1d7a11")


def keep_pictures(images: Mapping[str, Images], directory: Path, trial: str, epoch: int, now_ms: int, scale: int) -> Path:
    """Writes each as .png and .webp into a directory of the epoch, and returns that.

    Args:
        directory: the trial's.
        trial: what tells the trial from others, such as its config's fingerprint.
        now_ms: becomes part of the names, unless the epoch has some already.
    """
    from vae_core.generate import picture_of

    folder = directory / "pictures" / f"{epoch:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    for key, image in images.items():
        stem = _stem(folder, key, trial, epoch, now_ms)
        picture = picture_of(image, scale)
        picture.save(folder / f"{stem}.png")
        # As small as by default, with a fifth of the effort: every trial waits for it.
        picture.save(folder / f"{stem}+compressed.webp", lossless=True, quality=0, method=2)
    return folder


def _stem(folder: Path, key: str, trial: str, epoch: int, now_ms: int) -> str:
    earlier = sorted(folder.glob(f"{key}+step+*.png"))
    if earlier:
        return earlier[0].stem
    return f"{key}+step+{epoch}+timestamp+{now_ms}+{uuid.uuid5(_NAMESPACE, f'{trial}/{key}/{epoch}')}"

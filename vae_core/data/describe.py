"""What a loaded data set is, in plain values, for records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vae_core.data.base_config import DataConfig
from vae_core.data.splitting import SPLITS

if TYPE_CHECKING:
    from vae_core.data.images import ImageData
    from vae_core.data.text import TextData


def describe(data: TextData | ImageData, config: DataConfig) -> dict[str, Any]:
    """Name, fingerprint, kind, and of each split its source and its sizes.

    A split without a source of its own is a share of train's. What comes with a package has none.
    """
    kind: str = config.kind  # type: ignore[attr-defined]  # each member has one
    common: dict[str, Any] = {"name": data.name, "digest": data.fingerprint, "kind": kind, "modality": data.modality}
    if data.labels is not None:
        common["labels"] = len(data.labels)
    if data.modality == "image":
        common["shape"] = list(data.shape)
    else:
        common["vocabulary"] = len(data.vocabulary)
    return {**common, "splits": {split: {"source": _source(config, split), **_sizes(data, split)} for split in SPLITS}}


def _sizes(data: TextData | ImageData, split: str) -> dict[str, int]:
    if data.modality == "image":
        return {"examples": len(data.splits[split])}
    return {"examples": len(data.splits[split]), "tokens": len(data.splits[split].tokens)}


def _source(config: DataConfig, split: str) -> Any:
    """A path, paths by label, or the name of what is no file; None where it comes with a package."""
    if split in config.files:
        return getattr(config, split) or getattr(config, "train", None)
    names = [getattr(config, field) for field in (*config.files, *config.places)]
    return names[0] if names else None

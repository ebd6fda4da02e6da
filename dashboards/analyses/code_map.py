"""The latent space in two dimensions: the codes of examples as a trial keeps them, projected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

Projection = Literal["pca", "widest", "tsne"]
PROJECTIONS: dict[Projection, str] = {
    "pca": "principal components",
    "widest": "the two dimensions that vary most",
    "tsne": "t-SNE",
}
"""In words. The first two are linear: distances mean something; t-SNE keeps neighbours alone."""
_SEED = 0
_FEWEST = 5
"""Examples, of which less have no neighbourhoods."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CodeMap:
    """N examples of a split, with Z numbers of a code each."""

    index: Array
    """Place in the split, (N,)."""
    means: Array
    """Of the posteriors, (N, Z)."""
    codes: Array
    """From which the outputs were decoded: the posteriors' modes, (N, Z)."""
    rate: Array
    """KL of each, nats, (N,)."""
    inputs: Array
    """Texts, (N,), or images of bytes, (N, H, W) or (N, H, W, C)."""
    outputs: Array
    """As the inputs."""
    labels: list[str] | None
    """A name each, N of them."""

    @property
    def is_text(self) -> bool:
        """Whether the examples are texts."""
        return self.inputs.dtype.kind == "U"


def read_code_map(file: Path | IO[bytes]) -> CodeMap:
    """What ``codes.npz`` of a trial holds.

    Raises:
        ValueError, KeyError, OSError: it is no such file.
    """
    with np.load(file, allow_pickle=False) as held:
        parts = {name: held[name] for name in ("index", "means", "codes", "rate", "inputs", "outputs")}
        labels = [str(held["names"][label]) for label in held["labels"]] if "labels" in held else None
    if len({len(part) for part in parts.values()}) != 1 or parts["means"].ndim != 2:
        raise ValueError(f"these codes do not go together: { ({name: part.shape for name, part in parts.items()}) }")
    return CodeMap(**parts, labels=labels)


def project(codes: Array, projection: Projection) -> Array:
    """N codes in the plane: (N, Z) -> (N, 2). The same plane each time: a component's largest loading is positive."""
    points = np.asarray(codes, dtype="float64")
    if points.shape[1] == 1:
        return np.hstack([points, np.zeros_like(points)])
    if projection == "widest":
        return points[:, widest(points, 2)]
    if projection == "tsne" and len(points) >= _FEWEST:
        from sklearn.manifold import TSNE

        near = min(30.0, (len(points) - 1) / 3)
        found: Array = TSNE(2, perplexity=near, init="pca", random_state=_SEED).fit_transform(points)
        return found
    centred = points - points.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(1)].diagonal())[:, None]
    plane: Array = centred @ axes.T
    return plane


def widest(codes: Array, count: int) -> list[int]:
    """The dimensions in which the codes vary most, most first."""
    return [int(place) for place in np.argsort(-codes.var(0), kind="stable")[:count]]

"""How one source becomes train, valid and test: by position in an order that the seed alone decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vae_core.data.errors import DataError

if TYPE_CHECKING:
    from vae_core.data.base_config import Splitting

SPLITS = ("train", "valid", "test")


def shuffled_order(n: int, seed: int, stream: int) -> npt.NDArray[np.int64]:
    """A random order of n examples; the streams of one seed are independent.

    Sorting random numbers, rather than ``permutation``, since NumPy may change the latter between versions.
    """
    generator = np.random.Generator(np.random.PCG64([seed, stream]))
    return np.argsort(generator.random(n), kind="stable")


def split_indices(
    n: int, splitting: Splitting, source: str, *, valid: bool = True, test: bool = True
) -> dict[str, npt.NDArray[np.int64]]:
    """Which of the source's n examples go to train, and to valid and test where these are wanted; ascending.

    A wanted share is rounded to whole examples and is at least one. Equal examples may fall into different splits.

    Raises:
        DataError: nothing would be left to train on; ``source`` names the data in the message.
    """
    wanted = {name: share for name, share, is_wanted in _shares(splitting, valid, test) if is_wanted}
    sizes = {name: max(1, round(n * share)) for name, share in wanted.items()}
    if sum(sizes.values()) >= n:
        raise DataError(
            f"{source}: {n} example{'' if n == 1 else 's'}, too few for {' and '.join(['train', *sizes])}:"
            " give more data, or looser limits"
        )
    order = shuffled_order(n, splitting.seed, stream=0)
    parts: dict[str, npt.NDArray[np.int64]] = {}
    taken = 0
    for name, size in sizes.items():
        parts[name] = np.sort(order[taken : taken + size])
        taken += size
    return {"train": np.sort(order[taken:]), **parts}


def _shares(splitting: Splitting, valid: bool, test: bool) -> tuple[tuple[str, float, bool], ...]:
    return ("valid", splitting.valid, valid), ("test", splitting.test, test)

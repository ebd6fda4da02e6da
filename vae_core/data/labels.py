"""Labels: their names, and each example's by number.

Legend: n examples, Y labels.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_core.data.errors import DataError

Numbers = npt.NDArray[np.int64]
_SHOWN = 20


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The names that occur, each once, (Y,): by value where all are integers, else alphabetically."""
    names = set(labels)
    if all(name.removeprefix("-").isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def label_number(name: str, names: Sequence[str], place: str) -> int:
    """The number of a label.

    Raises:
        DataError: there is no such label; says which there are, and the nearest. ``place`` is who asked.
    """
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    known = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    raise DataError(
        f"{place}: there is no label {name!r} in train; it has {known}" + (f"; did you mean {near[0]!r}?" if near else "")
    )


def number_labels(place: str, labels: Sequence[str], names: Sequence[str]) -> Numbers:
    """The labels by number, (n,).

    Raises:
        DataError: a label is none of ``names``, those of train.
    """
    numbers = {name: label_number(name, names, place) for name in dict.fromkeys(labels)}
    return np.fromiter((numbers[name] for name in labels), dtype=np.int64, count=len(labels))


def require_examples(place: str, names: Sequence[str], train: Numbers | None) -> None:
    """Checks that each label has an example to learn from.

    Raises:
        DataError: the split or the limits have left train without one.
    """
    assert train is not None
    counts = np.bincount(train, minlength=len(names))
    if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise DataError(
            f"{place}: label {missing[0]!r}{more} has no example left in train after splitting and limits:"
            " give more of them, or leave these examples out"
        )


def label_parts(names: Sequence[str] | None, splits: Mapping[str, Numbers | None]) -> list[str | npt.NDArray[Any]]:
    """What labels add to a fingerprint: nothing where there are none."""
    if names is None:
        assert all(numbers is None for numbers in splits.values()), "numbers without names"
        return []
    parts: list[str | npt.NDArray[Any]] = ["labels", *names]
    for split, numbers in splits.items():
        assert numbers is not None, f"{split} has no labels"
        parts += [split, numbers]
    return parts


def label_text(value: object) -> str | None:
    """The name of a label as it stands in a cell or an array: text, an integer or a truth value; None for anything else."""
    plain: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool):
        return str(plain).lower()
    return str(plain) if isinstance(plain, int) else plain if isinstance(plain, str) else None

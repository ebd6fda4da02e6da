"""What can go wrong in reading: what the user named is not there, or the store cannot be read."""

from __future__ import annotations

import difflib
from collections.abc import Collection


class NotFound(LookupError):
    """The user named something that is not there; the message says what is. Base of the four below."""

    def __str__(self) -> str:
        return str(self.args[0])


class NoHome(NotFound):
    """No sweep was ever recorded where the reader was told to look."""


class UnknownSweep(NotFound):
    """No sweep of this name."""


class UnknownRun(NotFound):
    """No trial's run of this id."""


class UnknownColumn(NotFound):
    """No such column in the frame of the trials."""


class StoreError(RuntimeError):
    """The store does not answer, or holds what this program did not write."""


def nearest(name: str, known: Collection[str], shown: int = 12) -> str:
    """The end of a message about an unknown name: the nearest known one, then (the first ``shown`` of) all."""
    if not known:
        return "there is none"
    listed = sorted(known)
    all_of_them = ", ".join(listed[:shown]) + (f", and {len(listed) - shown} more" if len(listed) > shown else "")
    close = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
    return (f"did you mean {close[0]}? " if close else "") + f"there are: {all_of_them}"

"""The one error of this package that is the user's to mend."""

from __future__ import annotations


class DataError(ValueError):
    """The data cannot be used as it is; the message names the place, what is wrong there, and what to do about it."""

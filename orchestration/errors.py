"""The one error of running a sweep that is the user's to mend."""

from __future__ import annotations


class LaunchError(ValueError):
    """The sweep cannot be run as asked; the message says what to do."""

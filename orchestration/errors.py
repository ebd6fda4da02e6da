"""The errors of running a sweep; all but ``RayAway`` are the user's to mend."""

from __future__ import annotations


class LaunchError(ValueError):
    """The sweep cannot be run as asked; the message says what to do."""


class DriverBusy(LaunchError):
    """Another process drives the sweep."""


class RayAway(RuntimeError):
    """Ray does not begin on this machine; the sweep, where it was there already, can be gone on with."""


class StudyRefused(LaunchError):
    """The study's database refuses what it is asked, and waiting would change nothing."""

"""SQLite's write-ahead log: a transaction is then one write instead of several that each wait for the disk, and readers wait for
nobody. It needs memory that all who open the file share, so a file that other machines may open is kept without. Those of a home
whose sweeps run on a cluster are such: the file system of the machine that exports a directory to the others is its own."""

from __future__ import annotations

from pathlib import Path

import psutil

_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay", "apfs", "hfs"}
"""File systems of one machine."""
WRITE_AHEAD = "PRAGMA journal_mode=WAL"
ROLL_BACK = "PRAGMA journal_mode=DELETE"
"""Either stays with the file."""
_SEVERAL = ".several-machines"
"""In a directory that is known to be shared."""
SYNCED, IN_ORDER = "PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"
"""A transaction survives a power cut; or it may be lost to one, with all after it, and nothing is torn. Of a connection."""


def used_by_several_machines(directory: Path) -> None:
    """No file in it is to have a write-ahead log from now on."""
    (directory / _SEVERAL).touch()


def may_write_ahead(file: Path) -> bool:
    """Whether no other machine is to have the file open."""
    place = file.absolute().parent.resolve()
    if (place / _SEVERAL).exists():
        return False
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    nearest = next((mounts[path] for path in (place, *place.parents) if path in mounts), "")
    return nearest in _LOCAL


def log_of(file: Path) -> Path:
    """The write-ahead log of a database."""
    return file.with_name(f"{file.name}-wal")

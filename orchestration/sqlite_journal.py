"""SQLite's write-ahead log: a transaction is then one write instead of several that each wait for the disk, and readers wait for
nobody. It needs memory that all who open the file share, so a file that other machines may open is left as it is."""

from __future__ import annotations

from pathlib import Path

import psutil

_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay", "apfs", "hfs"}
"""File systems of one machine."""
WRITE_AHEAD = "PRAGMA journal_mode=WAL"
"""Stays with the file."""
SYNCED, IN_ORDER = "PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"
"""A transaction survives a power cut; or it may be lost to one, with all after it, and nothing is torn. Of a connection."""


def may_write_ahead(file: Path) -> bool:
    """Whether no other machine can have the file open."""
    place = file.absolute().parent.resolve()
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    nearest = next((mounts[path] for path in (place, *place.parents) if path in mounts), "")
    return nearest in _LOCAL


def log_of(file: Path) -> Path:
    """The write-ahead log of a database."""
    return file.with_name(f"{file.name}-wal")

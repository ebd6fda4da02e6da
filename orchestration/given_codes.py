"""Codes that the user gives in a file: a line each, its numbers apart by commas or spaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MOST = 10_000
"""Codes of a file."""


class CodesFault(ValueError):
    """The file holds no codes of this model, by the user's mistake; the message says in which line."""


def read_codes(file: Path, size: int) -> Tensor:
    """The codes, (lines, size).

    Raises:
        CodesFault: it cannot be read, is empty or too long, or a line is no code of ``size`` finite numbers.
    """
    import torch

    try:
        lines = [line for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CodesFault(f"--codes {file}: cannot be read: {why}") from error
    if not 1 <= len(lines) <= MOST:
        raise CodesFault(f"--codes {file}: holds {len(lines)} codes, but 1 to {MOST:,} are wanted, a line each")
    codes = torch.tensor([_numbers(line, f"--codes {file}, line {place}", size) for place, line in enumerate(lines, start=1)])
    wrong = (~codes.isfinite()).any(dim=1).nonzero()  # here, for the model's numbers end at 3.4e38
    if len(wrong):
        raise CodesFault(f"--codes {file}, line {int(wrong[0]) + 1}: a code has finite numbers only")
    return codes


def _numbers(line: str, place: str, size: int) -> list[float]:
    words = line.replace(",", " ").split()
    if len(words) != size:
        raise CodesFault(f"{place}: has {len(words)} numbers, but a code of this model has {size}")
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise CodesFault(f"{place}: {error}") from None

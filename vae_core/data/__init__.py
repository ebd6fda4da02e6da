"""Data sets: text and images as arrays of NumPy, shared between trials without a copy."""

from vae_core.data.config import (
    AnyData,
    Csv,
    DataConfig,
    Digits,
    JsonLines,
    Npz,
    Parquet,
    PythonDocs,
    Splitting,
    TextFile,
    TextTable,
    Vocabulary,
)
from vae_core.data.errors import DataError

__all__ = [
    "AnyData",
    "Csv",
    "DataConfig",
    "DataError",
    "Digits",
    "JsonLines",
    "Npz",
    "Parquet",
    "PythonDocs",
    "Splitting",
    "TextFile",
    "TextTable",
    "Vocabulary",
]

"""Data sets: text and images as arrays of NumPy, shared between trials without a copy."""

from vae_core.data.config import AnyData, DataConfig, Digits, Npz, PythonDocs, Splitting, TextFile, Vocabulary
from vae_core.data.errors import DataError

__all__ = ["AnyData", "DataConfig", "DataError", "Digits", "Npz", "PythonDocs", "Splitting", "TextFile", "Vocabulary"]

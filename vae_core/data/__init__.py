"""Data sets: text and images as arrays of NumPy, shared between trials without a copy."""

from vae_core.data.config import AnyData, DataConfig, Digits, Npz, PythonDocs, TextFile, Vocabulary

__all__ = ["AnyData", "DataConfig", "Digits", "Npz", "PythonDocs", "TextFile", "Vocabulary"]

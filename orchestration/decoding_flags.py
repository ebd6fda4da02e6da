"""The words of ``generate`` that say how sentences are decoded, and those of an SVD softmax, which ``evaluate`` has too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from vae_core.decoding import DECODINGS, AnyDecoding

if TYPE_CHECKING:
    from vae_core.checkpoint import LoadedModel
    from vae_core.softmax.svd import SvdHead

_DEFAULT = "ancestral"


class DecodingFault(ValueError):
    """The options of decoding do not go together, or a value means nothing; the message says which."""


def decoding_of(kind: str | None, options: Mapping[str, float | None]) -> AnyDecoding | None:
    """The method that was asked for; None where nothing was said of it.

    Args:
        kind: one of ``DECODINGS``; None: ancestral.
        options: by field; None where the user gave none.

    Raises:
        DecodingFault: an option is another method's, or its value is out of range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if kind is None and not given:
        return None
    member = DECODINGS[kind or _DEFAULT]
    for name in given:
        if name not in member.model_fields:
            owners = [other for other, method in DECODINGS.items() if name in method.model_fields]
            said = f"--decoding {kind}" if kind else f"--decoding {_DEFAULT}, the default,"
            raise DecodingFault(f"{said} has no {_flag(name)}: that is an option of --decoding {' and '.join(owners)}")
    try:
        return member.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{_flag(str(first['loc'][0]))} {first['input']}: {first['msg'][0].lower()}{first['msg'][1:]}"
        cure = "; --decoding greedy takes the most likely word at each step" if first["loc"] == ("temperature",) else ""
        raise DecodingFault(said + cure) from error


def svd_of(width: int | None, top: int | None) -> tuple[int, int] | None:
    """The SVD softmax that was asked for; None where nothing was said of it.

    Raises:
        DecodingFault: one of the two is missing.
    """
    if width is None and top is None:
        return None
    if width is None or top is None:
        given, missing = ("top", "width") if width is None else ("width", "top")
        raise DecodingFault(f"--svd-{given} needs --svd-{missing} beside it")
    return width, top


def svd_head(loaded: LoadedModel, svd: tuple[int, int]) -> SvdHead:
    """The softmax of a text model by SVD, of this width and top.

    Raises:
        DecodingFault: its softmax is no full one, or width or top is out of range.
    """
    from vae_core.networks.text import TextDecoder
    from vae_core.softmax.svd import SvdHead

    if not isinstance(loaded.model.decoder, TextDecoder):
        raise DecodingFault("--svd-width is for the words of a text, and this is a model of images")
    softmax = loaded.config.model.softmax
    if not softmax.full:
        raise DecodingFault(f"--svd-width is for a full softmax, or what is scored by one; this model has kind: {softmax.kind}")
    try:
        return SvdHead(loaded.model.decoder.head, *svd)
    except ValueError as error:
        raise DecodingFault(f"--svd-{error}") from error


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"

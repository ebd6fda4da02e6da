"""A trial's configuration as the text of ``config.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any


def config_text(flat: Mapping[str, Any]) -> str:
    """The config as nested YAML, from its dotted names."""
    import yaml

    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return yaml.dump(nested, Dumper=_dumper(), sort_keys=False, allow_unicode=True)


@functools.cache
def _dumper() -> Any:
    """In C, for every trial waits for it; careful with strings, since it goes by YAML 1.1 and who reads it by 1.2."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # PyYAML can be built without libyaml
        pass

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if value[:1].isalpha() else '"')

    Dumper.add_representer(str, text)
    return Dumper

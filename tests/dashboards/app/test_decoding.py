"""A code is decoded under the label of its example, whatever the label is called."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the dashboard is an extra")


@pytest.mark.parametrize(("label", "given"), [(None, []), ("-7", ["--label=-7"])])
def test_the_label_is_passed_on(label: str | None, given: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dashboards.app import decoding

    def command(parts: list[str], **_: Any) -> Any:
        assert [part for part in parts if part.startswith("--label")] == given
        assert parts[-2:] == ["--", "s/3"]
        Path(parts[parts.index("--output") + 1]).write_text("a sentence\n")
        return SimpleNamespace(returncode=0)

    where = SimpleNamespace(root=tmp_path, tracking_uri="sqlite:///none")
    monkeypatch.setattr(decoding, "settings", lambda: SimpleNamespace(where=where))
    monkeypatch.setattr(subprocess, "run", command)
    assert decoding.decode("s", 3, [[0.0]], is_text=True, label=label) == "a sentence"

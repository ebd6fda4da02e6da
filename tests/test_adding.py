"""docs/adding.md is a package: its code, installed beside this one, is checked, trained and tested as the families' own is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from vae_core.plugins import GROUPS

TEXT = (ROOT / "docs" / "adding.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, installed into a directory of its own."""
    site = tmp_path_factory.mktemp("site")
    [project] = (tomllib.loads(block)["project"] for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
    install(site, project["name"], project["entry-points"])
    for name, code in re.findall(r"```python\n# (\S+\.py)\n(.*?)```", TEXT, re.DOTALL):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(code)
    return site


def install(site: Path, name: str, entry_points: dict[str, dict[str, str]]) -> None:
    """What an installer leaves of a distribution, without its modules."""
    directory = site / f"{name.replace('-', '_')}-1.0.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in entry_points.items())
    (directory / "entry_points.txt").write_text("\n".join(groups))


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=300)


def test_a_sweep_with_them_is_right_and_a_wrong_option_is_a_fault_with_its_place(site: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(YAML)
    bad.write_text(YAML.replace("components: 2", "components: none").replace("stairs:", "stars:"))
    done = python(site, "-m", "orchestration", "validate", str(good), str(bad))
    assert done.returncode == 2
    assert f"{good}: right. 4 trials by random over objective.annealing" in done.stdout
    lines = YAML.splitlines()
    for word in ("components:", "stairs:"):
        line = next(number for number, text in enumerate(lines, 1) if word in text)
        assert f"{bad}:{line}:" in done.stderr
    assert "did you mean" in done.stderr
    assert "stairs" in done.stderr
    without = python(tmp_path, "-m", "orchestration", "validate", str(good))
    assert "mixture" in without.stderr
    assert without.returncode == 2


def test_the_schema_has_them_with_their_docstrings(site: Path) -> None:
    done = python(site, "-m", "orchestration", "schema")
    assert done.returncode == 0, done.stderr
    for text in ("staircase", "mixture", "w, the share of the planned steps until the weight is 1."):
        assert text in done.stdout


def test_a_trial_trains_with_them_whichever_is_imported_first(site: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(YAML)
    code = (
        "import sys; import my_package.schedules, my_package.softmaxes\n"
        "from orchestration import load_sweep; from vae_core.config import TrialConfig; from vae_core.trainer import Trainer\n"
        f"plain = load_sweep({str(tmp_path / 'sweep.yaml')!r}).trial\n"
        "plain['objective'] = {'kind': 'elbo', 'annealing': {'kind': 'staircase', 'stairs': 2, 'warmup': 0.6}}\n"
        "config = TrialConfig.from_dict(plain)\n"
        "assert type(config.model.softmax) is my_package.softmaxes.MixtureSoftmax\n"
        "assert type(config.objective.annealing) is my_package.schedules.Staircase\n"
        "first, second, last = Trainer(config, config.data.load()).run()\n"
        "from vae_core.plugins import installed; assert installed() == {'my-package': '1.0'}\n"
        "assert (first.annealed, second.annealed, last.final) == (False, True, True)\n"
        "assert first.metrics['train/beta'] == 0.5 and second.metrics['train/beta'] == 1.0\n"
        "assert second.metrics['val/neg_elbo'] < first.metrics['val/neg_elbo'] and last.metrics['test/softmax_gap'] == 0.0\n"
    )
    done = python(site, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_families_tests_run_over_them(site: Path) -> None:
    files = ("tests/vae_core/test_schedules.py", "tests/vae_core/softmax/test_softmax_family.py")
    words = "mixture or MixtureSoftmax or every_member or end_is_the_first or lie_between or pure_function"
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", words)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 20, done.stdout


def test_every_group_is_explained_by_what_is_there() -> None:
    for group in GROUPS:
        assert f"`vae_sweeps.{group}`" in TEXT
    table = TEXT.split("## The other families")[1]
    sources = "\n".join(path.read_text() for path in (ROOT / "vae_core").rglob("*.py"))
    for name in re.findall(r"`([A-Z]\w+)`", table):
        assert re.search(rf"^class {name}\b|^{name} = ", sources, re.M), name
    for path in re.findall(r"`(vae_core/\S+)`", table):
        assert (ROOT / path).exists()


BASE = "from typing import Literal\nfrom vae_core.schedules import Schedule\n"
BROKEN = {
    "no module": ("", "vae_sweeps.schedules", "nowhere:Mine", "ModuleNotFoundError"),
    "no class": (BASE, "vae_sweeps.schedules", "broken:Mine", "AttributeError"),
    "an error of its own": ("1 / 0", "vae_sweeps.schedules", "broken:Mine", "ZeroDivisionError"),
    "an error of several lines": (f"{BASE}class Mine(Schedule):\n  kind: Literal['mine'] = 'mine'\n  size = 3",
                                  "vae_sweeps.schedules", "broken:Mine", "PydanticUserError: A non-annotated attribute"),
    "no subclass": ("class Mine: pass", "vae_sweeps.schedules", "broken:Mine", "no subclass of vae_core.schedules.Schedule"),
    "another family's": (f"{BASE}class Mine(Schedule):\n  kind: Literal['mine'] = 'mine'", "vae_sweeps.priors", "broken:Mine",
                         "no subclass of vae_core.latent.config.PriorConfig"),
    "no kind": (f"{BASE}class Mine(Schedule): pass", "vae_sweeps.schedules", "broken:Mine", "no field that names it"),
    "a kind that is taken": (f"{BASE}class Mine(Schedule):\n  kind: Literal['linear'] = 'linear'", "vae_sweeps.schedules",
                             "broken:Mine", "taken by vae-sweeps"),
    "no group": ("", "vae_sweeps.schedule", "broken:Mine", "there is no such group, but vae_sweeps.schedules"),
    "too many imports": (f"{BASE}from vae_core.objectives.config import Elbo\nclass Mine(Schedule):\n  kind: Literal['m'] = 'm'",
                         "vae_sweeps.schedules", "broken:Mine", "imports of vae_core only where its family's base is"),
}  # fmt: skip
"""What is in the module, the group, the object, and what is said."""


@pytest.mark.parametrize(("code", "group", "value", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_entry_point_is_one_clear_sentence(code: str, group: str, value: str, said: str, tmp_path: Path) -> None:
    install(tmp_path, "broken-thing", {group: {"mine": value}})
    (tmp_path / "broken.py").write_text(code)
    (tmp_path / "sweep.yaml").write_text(YAML)
    done = python(tmp_path, "-m", "orchestration", "validate", str(tmp_path / "sweep.yaml"))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert said in line
    assert "broken-thing" in line
    assert f"[{group}]" in line


def test_what_needs_the_whole_family_is_refused_when_it_comes_too_early(tmp_path: Path) -> None:
    """Her module first: the objective's options would be made, and silently know nothing of her schedule."""
    install(tmp_path, "broken-thing", {"vae_sweeps.schedules": {"mine": "broken:Mine"}})
    (tmp_path / "broken.py").write_text(BROKEN["too many imports"][0])
    done = python(tmp_path, "-c", "import broken")
    assert "which needs the whole family" in done.stderr.splitlines()[-1]


def test_two_distributions_with_one_kind(tmp_path: Path) -> None:
    for number in (1, 2):
        install(tmp_path, f"thing-{number}", {"vae_sweeps.schedules": {"mine": f"thing{number}:Mine"}})
        (tmp_path / f"thing{number}.py").write_text(f"{BASE}class Mine(Schedule):\n  kind: Literal['mine'] = 'mine'")
    done = python(tmp_path, "-c", "import vae_core.config")
    assert "of the distribution thing-2 has kind: mine, which is taken by thing-1" in done.stderr.splitlines()[-1]


def test_a_class_may_be_called_as_one_of_ours(tmp_path: Path) -> None:
    install(tmp_path, "thing", {"vae_sweeps.schedules": {"mine": "thing:Linear"}})
    (tmp_path / "thing.py").write_text(f"{BASE}class Linear(Schedule):\n  kind: Literal['mine'] = 'mine'\n  knee: float = 0.5")
    done = python(tmp_path, "-m", "orchestration", "schema")
    definitions = json.loads(done.stdout)["$defs"]
    assert set(definitions["parameters.thing.Linear"]["properties"]) == {"kind", "knee"}
    assert "warmup" in definitions["parameters.Linear"]["properties"]
    assert any(
        "knee" in definition.get("properties", {}) for name, definition in definitions.items() if name.startswith("trial.")
    )

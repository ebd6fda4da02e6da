"""What reading a large sweep costs: the frames and the reports at thousands of trials, in CPU seconds and memory.

    python -m benchmarks.reading [--trials 2000] [--epochs 100] [--home DIR]

The record is synthetic, what reads it is the project. Each figure is of a process of its own, with its start and imports.
``--home`` keeps the record, or uses it again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from benchmarks.measure import machine
from benchmarks.measure.record import SWEEP, record_of

READERS = {
    "load_sweeps()": "from dashboards import load_sweeps; load_sweeps(home=HOME)",
    "load_trials(name)": "from dashboards import load_trials; load_trials(NAME, home=HOME)",
    "load_curves(name)": "from dashboards import load_curves; load_curves(NAME, home=HOME)",
    **{
        f"report name --format {format}": "from orchestration.cli import main; import sys;"
        f" sys.argv = ['vae-sweeps', 'report', NAME, '--home', HOME, '--format', '{format}', '--output', '/dev/null']; main()"
        for format in ("table", "parquet", "html")
    },
}
MEASURE = """
import atexit, resource, sys

from benchmarks.measure import peak_mebibytes

NAME, HOME = sys.argv[1:]

def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("measured", used.ru_utime + used.ru_stime, peak_mebibytes(), file=sys.stderr)

atexit.register(tell)  # a command ends the process itself
{code}
"""


def measured(code: str, home: Path) -> tuple[float, float]:
    """CPU seconds and MiB at most, of a process that runs ``code``."""
    command = [sys.executable, "-c", MEASURE.format(code=code), SWEEP, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    line = next(line for line in done.stderr.splitlines() if line.startswith("measured "))
    seconds, mebibytes = line.split()[1:]
    return float(seconds), float(mebibytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--home", type=Path, help="where the record is kept, or is already")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        size = record_of(home, given.trials, given.epochs).stat().st_size / 2**20
        rows = []
        for name, code in READERS.items():
            seconds, mebibytes = measured(code, home)
            rows.append((name, f"{seconds:.1f}", f"{mebibytes:.0f}"))
        nothing, least = measured("import mlflow, pandas", home)
    print(f"{given.trials} trials of {given.epochs} epochs, a database of {size:.0f} MiB\n{machine()}\n")
    print(tabulate([*rows, ("only the imports", f"{nothing:.1f}", f"{least:.0f}")], ["", "CPU s", "MiB at most"], "github"))


if __name__ == "__main__":
    main()

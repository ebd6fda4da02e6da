"""The command line: what a user types, and what she is told when it is wrong.

Exit codes: 0 done, 1 the work failed, 2 the user's input is wrong, 130 interrupted.
Heavy imports stand inside the commands, so that ``--help`` and ``validate`` answer at once.
"""

from __future__ import annotations

import sys

import typer

from orchestration.commands import again, cluster, confirm, control, files, plan, queue, services, sweeps, trials
from orchestration.commands.options import UsageFault
from orchestration.importing import collect_rarely

app = typer.Typer(
    name="vae-sweeps",
    help="Sweeps over variational autoencoders: one YAML in, a table that survives review out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _command in (
    ("init", files.init),
    ("validate", files.validate),
    ("schema", files.schema),
    ("plan", plan.plan),
    ("run", sweeps.run),
    ("submit", cluster.submit),
    ("resume", sweeps.resume),
    ("list", sweeps.list_sweeps),
    ("status", sweeps.status),
    ("logs", control.logs),
    ("stop", control.stop),
    ("set", control.set_),
    ("report", sweeps.report),
    ("compare", sweeps.compare),
    ("confirm", confirm.confirm),
    ("show", trials.show),
    ("generate", trials.generate),
    ("reproduce", again.reproduce),
    ("evaluate", again.evaluate),
    ("ui", services.ui),
    ("doctor", services.doctor),
):
    app.command(_name)(_command)
app.add_typer(queue.queue_app, name="queue")


def _user_mistakes() -> tuple[type[Exception], ...]:
    from dashboards.errors import NotFound
    from dashboards.home import HomeError
    from orchestration.decoding_flags import DecodingFault
    from orchestration.errors import LaunchError
    from orchestration.given_codes import CodesFault
    from orchestration.output import OutputFault
    from orchestration.served import UiError
    from orchestration.spec import SweepFileError
    from vae_core.data.errors import DataError

    return (
        UsageFault,
        DecodingFault,
        CodesFault,
        OutputFault,
        SweepFileError,
        LaunchError,
        DataError,
        NotFound,
        HomeError,
        UiError,
    )


def main() -> None:
    """The entry point."""
    collect_rarely()
    try:
        app()
    except Exception as error:
        from dashboards.errors import StoreError
        from orchestration.errors import RayAway
        from orchestration.patience import no_room
        from orchestration.tracking.spool import SpoolBusy
        from vae_core.plugins import PluginError

        # With a broken plugin the modules of the other mistakes cannot even be imported.
        mistakes = (PluginError,) if isinstance(error, PluginError) else _user_mistakes()
        works_not = isinstance(error, (StoreError, SpoolBusy, RayAway)) or no_room(error)
        code = 2 if isinstance(error, mistakes) else 1 if works_not else None
        if code is None:
            raise
        typer.echo(f"vae-sweeps: {error}", err=True)
        sys.exit(code)

"""The UI starts on a home, its links show the trials, and it ends without leaving a process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from dashboards.home import Home, resolve_home
from orchestration.mlflow_server import DEFAULT_PORT, running_server
from orchestration.page_servers import _streamlit
from orchestration.served import UiError, free_port
from orchestration.tracking.note import NoteRow, sweep_note
from orchestration.tracking.spool import SPOOL_FILE
from orchestration.tracking.tracker import SweepHeader, Tracker
from orchestration.ui import Wanted, serve, sweep_links

BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one finished sweep of three trials."""
    home = resolve_home(tmp_path_factory.mktemp("home"))
    header = SweepHeader("demo", "Is <b>less</b> *more*?", "val/neg_elbo", "minimize", "tpe", 3, ["optimizer.lr"], "name: demo\n")
    tracker = Tracker(home.tracking_uri, home.artifact_root, home.sweep_dir("demo") / SPOOL_FILE, header)
    tracker.open()
    rows = []
    for number, value in enumerate((30.0, 10.0, 20.0)):
        tracker.trial_started(number, {"optimizer.lr": 0.1 * number}, "f", 0, {})
        for epoch in (1, 2):
            tracker.epoch(number, epoch, {"train/loss": value / epoch, "val/neg_elbo": value}, 1_700_000_000_000 + epoch)
        tracker.epoch(number, 2, {"best/val/neg_elbo": value, "test/neg_elbo": value}, 1_700_000_000_003)
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
        rows.append(NoteRow(number, "COMPLETE", value, {"optimizer.lr": 0.1 * number}, epochs=2))
    tracker.note(sweep_note("demo", header.question, "FINISHED", "val/neg_elbo", "minimize", 3, rows))
    tracker.closed("FINISHED", 1.0)
    assert tracker.close() == 0
    return home


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_busy_port_that_was_asked_for_is_an_error(busy_port: int) -> None:
    with pytest.raises(UiError, match=f"port {busy_port} of 127.0.0.1 is in use; choose another with --dashboard-port"):
        free_port("127.0.0.1", busy_port, DEFAULT_PORT, "--dashboard-port")


def test_else_the_next_free_port_is_taken() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first = free_port("127.0.0.1", None, DEFAULT_PORT)
        assert first >= DEFAULT_PORT
        listener.bind(("127.0.0.1", first))
        listener.listen()
        assert free_port("127.0.0.1", None, DEFAULT_PORT) > first


def test_a_host_that_is_not_this_machine_is_an_error() -> None:
    with pytest.raises(UiError, match=r"cannot listen on 192\.0\.2\.1"):
        free_port("192.0.2.1", 5000, DEFAULT_PORT)


def test_without_records_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(UiError, match=r"mlflow\.db does not exist"):
        serve(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_link_for_each_sweep(recorded: Home) -> None:
    (link,) = sweep_links("http://here/", recorded.tracking_uri)
    assert link.sweep == "demo"
    assert link.url.startswith("http://here/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=demo")


def group_members(group: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _group(process) == group]


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_leaving_a_process(recorded: Home, ending: signal.Signals) -> None:
    # Tests that were started in the background have SIGINT ignored, and with them their children.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{heard}from pathlib import Path\nfrom orchestration.ui import serve\nserve(Path({str(recorded.root)!r}))"
    ui = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)
    assert ui.stdout is not None
    said: list[str] = []
    while not said or "Ctrl-C" not in said[-1]:
        said.append(ui.stdout.readline())
        assert said[-1], "it ended too early"
    base = re.search(r"MLflow UI: (\S+)", "".join(said))
    assert base is not None
    assert "demo: " in "".join(said)
    dashboard = re.search(r"Dashboard: (\S+)", "".join(said))
    assert dashboard is not None
    assert f"dashboard: {dashboard[1]}sweep?sweep=demo\n" in "".join(said)
    with urllib.request.urlopen(dashboard[1], timeout=10) as page:
        assert b"Streamlit" in page.read()
    with urllib.request.urlopen(base[1], timeout=10) as page:
        assert b"MLflow" in page.read()
    servers = psutil.Process(ui.pid).children()
    assert len(servers) >= 2, "MLflow's, the dashboard's, and Optuna's where it is installed"
    assert all(group_members(server.pid) for server in servers)
    ui.send_signal(ending)
    assert ui.wait(25) == 0
    ui.stdout.close()
    assert [group_members(server.pid) for server in servers] == [[]] * len(servers)


def test_without_streamlit_it_says_how_to_get_it_and_serves_mlflow_alone(recorded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def running(home: Home, host: str, port: int | None, say: object) -> Iterator[SimpleNamespace]:
        gone = SimpleNamespace(name="the MLflow server")
        yield SimpleNamespace(url="http://here/", is_up=False, service=gone, last_words=lambda: "over")

    monkeypatch.setattr("orchestration.ui.running_server", running)
    monkeypatch.setattr("orchestration.ui.has_dashboard", lambda: False)
    for wanted, told in ((Wanted(), True), (Wanted(dashboard=False), False)):
        said: list[str] = []
        with pytest.raises(UiError, match="the MLflow server ended by itself:\nover"):
            serve(recorded.root, wanted, said.append)
        assert ("no dashboard: Streamlit is not installed; pip install 'vae-sweeps[dashboard]'" in said) == told
        assert not any("dashboard: " in line for line in said[told:])
        assert "MLflow UI: http://here/" in said


def test_the_dashboard_asks_nobody_and_answers_to_no_other_name() -> None:
    words = _streamlit("127.0.0.1", 8501)
    assert "--browser.gatherUsageStats=false" in words
    assert "--server.address=127.0.0.1" in words  # without it Streamlit asks a service for the address of this machine
    assert "--server.allowedHosts=localhost" in words
    assert not any(word.startswith("--server.allowedHosts") for word in _streamlit("0.0.0.0", 8501))


@pytest.mark.slow
def test_the_answer_of_another_server_is_not_taken_for_its_own(tmp_path: Path, recorded: Home) -> None:
    """Two that are started at once find the same port free: only one gets it."""
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be taken for a broken one" * 50)
    with running_server(recorded) as server:
        port = urllib.parse.urlsplit(server.url).port
        assert port is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orchestration.served.free_port", lambda host, port, first, option: port)
            with pytest.raises(UiError, match="did not start"), running_server(resolve_home(tmp_path), port=port):
                pytest.fail("it started")


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be taken for a broken one" * 50)
    with pytest.raises(UiError, match="did not start"), running_server(resolve_home(tmp_path)):
        pytest.fail("it started")


@pytest.mark.slow
def test_the_links_show_the_trials_in_a_browser(recorded: Home) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with running_server(recorded) as server, playwright.sync_playwright() as play:
        (link,) = sweep_links(server.url, recorded.tracking_uri)
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1500, "height": 1600})
        page.goto(link.url)
        page.wait_for_selector("text=demo/001", timeout=60_000)
        shown = page.locator("a", has_text=re.compile("^demo.\\d+$")).all_inner_texts()
        assert shown == ["demo/001", "demo/002", "demo/000"]  # by the metric, best first

        page = browser.new_page(viewport={"width": 1500, "height": 1600})
        page.goto(link.url + "&compareRunsMode=CHART")
        for section in ("best/val", "test", "train", "val"):
            page.wait_for_function(f"/^{section.replace('/', '.')}\\s*\\(\\d+\\)/m.test(document.body.innerText)", timeout=60_000)

        from mlflow import MlflowClient

        (parent,) = MlflowClient(recorded.tracking_uri).search_runs(["1"], "tags.kind = 'sweep'")
        page = browser.new_page(viewport={"width": 1500, "height": 1600})
        page.goto(f"{server.url}#/experiments/1/runs/{parent.info.run_id}?workflowType=machine_learning")
        page.wait_for_selector("text=Is <b>less</b> *more*?", timeout=60_000)
        page.get_by_text("Show more").click()
        for name, wanted in (("Trials", "demo/001"), ("002", "demo/002")):
            with page.context.expect_page() as opened:
                page.get_by_role("link", name=name, exact=True).click()
            opened.value.wait_for_selector(f"text={wanted}", timeout=60_000)
            opened.value.close()
        browser.close()


@pytest.mark.slow
def test_where_another_is_quicker_the_next_port_is_taken(recorded: Home) -> None:
    with socket.socket() as quicker:
        quicker.bind(("127.0.0.1", 0))
        quicker.listen()
        taken = iter([quicker.getsockname()[1]])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orchestration.served.free_port", lambda *asked: next(taken, None) or free_port(*asked))
            with running_server(recorded, say=lambda line: None) as server:
                assert server.port != quicker.getsockname()[1]
                with urllib.request.urlopen(server.url, timeout=10) as page:
                    assert b"MLflow" in page.read()

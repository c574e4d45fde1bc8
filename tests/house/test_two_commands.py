"""The first of the two commands, as a newcomer meets it: start, paste, stop, crash, start again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.kernel.postgres import EmbeddedPostgres
from tests.support import cluster
from tests.support.installation import Installation, free_port
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.faults]
ROOT = Path(__file__).resolve().parents[2]
LAST_LINE = "Ctrl-C stops everything."


@dataclass(frozen=True)
class FirstStart:
    """What the first start left behind: the folder, what it printed, how long it took, what outlived it.

    `importing` is how long this machine took just before for what every start does first.
    """

    place: Installation
    said: str
    seconds: float
    importing: float
    survivors: list[psutil.Process]

    @property
    def api_key(self) -> str:
        found = re.search(r"API key +(rk_live_\w+)", self.said)
        assert found, self.said
        return found[1]

    @property
    def curls(self) -> list[str]:
        return [line for line in self.said.splitlines() if line.startswith("curl ")]


@pytest.fixture(scope="module")
def first() -> Iterator[FirstStart]:
    with tempfile.TemporaryDirectory(prefix="rapport-") as folder:
        Path(folder).chmod(0o711)
        place = Installation(Path(folder), free_port())
        importing = seconds_to_import()
        started = place.start()
        try:
            said = started.await_text(LAST_LINE, 5 * PATIENCE)
        except BaseException:
            started.kill_everything()
            raise
        seconds = started.serving_after
        survivors = started.interrupt()
        yield FirstStart(place, said, seconds, importing, survivors)


def test_the_first_start_says_how_to_use_what_it_started(first: FirstStart):
    url = first.place.url
    for text in (url, f"{url}/docs", f"{url}/dev/mail", "200 accounts, 600 contacts, 1,500 leads"):
        assert text in first.said
    for role in ("Owner", "Manager", "Salesperson"):
        assert re.search(rf"{role} +\S+@farsail\.example\.com +password \S+", first.said), role
    assert len(first.curls) == 3
    assert first.seconds <= max(
        20, first.importing * 4
    )  # 10 s on a machine that does nothing else; in a crowd, longer


def test_ctrl_c_leaves_no_process(first: FirstStart):
    assert first.survivors == []


def test_what_it_keeps_of_passwords_and_keys_is_private(first: FirstStart):
    for name in ("demo.json", "secret.key"):
        assert (first.place.folder / "var" / name).stat().st_mode & 0o777 == 0o600


def test_the_second_start_is_quick_and_prints_the_same(first: FirstStart):
    times = []
    for _ in range(4):
        importing = seconds_to_import()
        with first.place.running(until=LAST_LINE) as again:
            assert [line for line in again.said.splitlines() if line.startswith("curl ")] == first.curls
            assert sign_ins(again.said) == sign_ins(first.said)
            times.append((again.serving_after, importing))
        # Five seconds on a machine of its own, where half of a start is importing; in a crowd, three imports.
        if any(took <= max(5, imported * 3) for took, imported in times):
            return
    pytest.fail(f"starts took too long: {times} (seconds, seconds to import)")


def seconds_to_import() -> float:
    """How long this machine takes just now for what every start does first."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", "import app.main"], check=True, cwd=ROOT)
    return time.perf_counter() - started


def sign_ins(said: str) -> list[str]:
    found = re.findall(r"(?:Owner|Manager|Salesperson|API key) .*", said)
    assert len(found) == 4
    return found


def paste(line: str) -> Any:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="class")
def started_again(first: FirstStart) -> Iterator[None]:
    """One more start, which serves all who try what the first one printed, and a second one beside it."""
    with first.place.running("--no-demo"):
        yield


@pytest.mark.usefixtures("started_again")
class TestOneMoreStart:
    def test_the_lines_to_paste_work(self, first: FirstStart):
        listed, created, found = (paste(line) for line in first.curls)
        assert [lead["status"] for lead in listed["data"]] == ["new", "new"]
        assert created["name"] == "孙悟空"
        assert created["id"] in [lead["id"] for lead in found["data"]]

    @pytest.mark.parametrize("role", ["Owner", "Manager", "Salesperson"])
    def test_the_printed_people_can_sign_in(self, first: FirstStart, role: str):
        found = re.search(rf"{role} +(\S+) +password (\S+)", first.said)
        assert found
        answer = httpx.post(
            f"{first.place.url}/v1/sessions",
            json={"email": found[1], "password": found[2]},
            timeout=PATIENCE,
            trust_env=False,
        )
        token = answer.json()["access_token"]
        me = first.place.get("/v1/me", token)
        assert me["role_keys"] == [role.lower()]

    def test_a_second_one_on_the_same_folder_is_refused(self, first: FirstStart):
        other = Installation(first.place.folder, free_port()).start("--no-demo")
        assert other.process.wait(PATIENCE) == 1
        assert "already" in other.said
        assert "RAPPORT_DATA_DIR" in other.said


def test_after_kill_9_of_everything_nothing_acknowledged_is_lost(first: FirstStart):
    place, key = first.place, first.api_key
    with place.running("--no-demo") as started:
        before = place.get("/v1/leads?include=total&limit=1", key)["total"]
        answer = httpx.post(
            f"{place.url}/v1/leads",
            json={"name": "Written Just Before", "external_id": "before-the-crash"},
            headers={"Authorization": f"Bearer {key}"},
            timeout=PATIENCE,
            trust_env=False,
        )
        assert answer.status_code == 201
        started.kill_everything()
    with place.running("--no-demo"):
        found = place.get("/v1/leads?external_id=before-the-crash", key)["data"]
        after = place.get("/v1/leads?include=total&limit=1", key)["total"]
    assert [lead["name"] for lead in found] == ["Written Just Before"]
    assert after == before + 1


def test_an_interrupted_demo_goes_on_where_it_was(tmp_path_factory: pytest.TempPathFactory):
    with tempfile.TemporaryDirectory(prefix="rapport-") as folder:
        Path(folder).chmod(0o711)
        place = Installation(Path(folder), free_port())
        cluster.lay(EmbeddedPostgres(place.folder / "var" / "postgres"))
        state = Path(folder) / "var" / "demo.json"
        with place.running() as started:
            while '"accounts"' not in (state.read_text() if state.exists() else ""):
                assert started.process.poll() is None, started.said
                time.sleep(0.02)
            started.kill_everything()
        password = json.loads(state.read_text())["password"]
        with place.running(until=LAST_LINE, seconds=5 * PATIENCE):
            done = json.loads(state.read_text())
            totals = {
                plural: place.get(f"/v1/{plural}?include=total&limit=1", done["api_key"])["total"]
                for plural in ("accounts", "contacts", "leads")
            }
    assert done["password"] == password
    assert totals == {"accounts": 200, "contacts": 600, "leads": 1500}


def test_when_the_worker_dies_everything_stops_and_says_so(first: FirstStart):
    started = first.place.start("--no-demo")
    started.await_text("Rapport is running", PATIENCE)
    tree = started.processes()
    children = [
        p for p in psutil.Process(started.process.pid).children() if not p.name().startswith("postgres")
    ]
    assert len(children) == 2
    children[1].kill()
    assert started.process.wait(PATIENCE) == 1
    assert "The worker ended" in started.said
    assert psutil.wait_procs(tree, timeout=PATIENCE)[1] == []

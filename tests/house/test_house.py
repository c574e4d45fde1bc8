"""The house around the code: commands, locks and container files are what the README says they are."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from alembic.script import ScriptDirectory

from app.kernel import migrate

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock", "tools/openapi-lint/package-lock.json"]
ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://|(?<![\w@/.-])(?:[a-z0-9-]+\.)+(?:org|com|io|dev|net|cn)\b", re.IGNORECASE
)


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9_.-]+)==", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_names_no_host(lock: str):
    assert ADDRESS.findall((ROOT / lock).read_text()) == []


@pytest.mark.parametrize("lock", LOCKS[:2])
def test_every_locked_python_package_has_a_hash(lock: str):
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_locked_npm_package_has_a_hash_and_no_address():
    packages = json.loads((ROOT / LOCKS[2]).read_text())["packages"]
    assert [name for name, entry in packages.items() if name and "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


def test_production_installs_nothing_that_development_does_not():
    assert names("requirements.lock") - names("requirements-dev.lock") == set()
    assert {"pytest", "mypy", "ruff", "schemathesis", "uv"} & names("requirements.lock") == set()


def test_every_declared_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [re.match(r"[A-Za-z0-9_.-]+", line) for line in project["project"]["dependencies"]]
    wanted = {match[0].lower().replace("_", "-") for match in declared if match}
    assert wanted - names("requirements.lock") == set()


def test_no_committed_file_configures_a_package_index():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [name for name in listed.stdout.split("\0") if name and name != "tests/house/test_house.py"]
    setting = re.compile(
        r"(?:index[-_]url|default[-_]index|registry)\s*[=:]\s*[\"']?https?://", re.IGNORECASE
    )
    guilty = [name for name in files if (ROOT / name).is_file() and setting.search(read(ROOT / name))]
    assert guilty == []


def read(path: Path) -> str:
    return path.read_text(errors="replace")


@pytest.mark.parametrize("target", ["install", "run", "test", "check", "bench", "clean", "help"])
def test_make_knows_the_target(target: str):
    plan = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (plan.returncode, plan.stderr) == (0, "")


def test_ci_runs_the_checks_and_then_the_test_command():
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and line[0] not in "# "]
    assert lines[-2:] == ["make check", "make test"]
    assert subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=False).returncode == 0
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_migrations_are_one_line_from_one_beginning_to_one_end():
    history = ScriptDirectory(str(migrate.MIGRATIONS))
    revisions = list(history.walk_revisions())
    assert len(history.get_heads()) <= 1
    assert [step.revision for step in revisions if step.is_branch_point or step.is_merge_point] == []
    assert len(history.get_bases()) <= 1


def test_compose_starts_the_api_and_the_worker_after_one_migration():
    services = compose()["services"]
    assert services["migrate"]["command"] == ["rapport", "db", "upgrade"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_compose_adds_other_services_by_profile_only():
    services = compose()["services"]
    assert {name for name in services if "profiles" not in services[name]} == {
        "postgres",
        "migrate",
        "api",
        "worker",
    }
    assert {name: services[name]["profiles"] for name in services if "profiles" in services[name]} == {
        "redis": ["redis"],
        "mailpit": ["mailpit"],
        "minio": ["minio"],
    }


def test_compose_opens_ports_on_loopback_only():
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_service_of_compose_tells_its_health_or_need_not():
    services = compose()["services"]
    # The image brings the API's own check.
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["api"]
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()


def test_the_volumes_of_compose_are_declared():
    content = compose()
    used = {
        mount.split(":")[0]
        for service in content["services"].values()
        for mount in service.get("volumes", [])
    }
    assert used == set(content["volumes"])


def test_compose_is_valid_to_docker_itself():
    if shutil.which("docker") is None:
        pytest.skip("no docker command on this machine")
    known = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if known.returncode:
        pytest.skip("this docker has no compose command")
    command = ["docker", "compose", "--profile", "*", "config", "--quiet"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def stages() -> list[list[str]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "ARG"))]
    starts = [i for i, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[begin:end] for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True)]


def test_the_image_runs_as_an_ordinary_user():
    final = stages()[-1]
    assert "USER 10001:10001" in final
    after = final[final.index("USER 10001:10001") :]
    assert [line for line in after if line.startswith(("RUN", "COPY", "ADD", "USER 0", "USER root"))] == []


def test_the_image_is_slim_and_holds_no_compiler():
    build, final = stages()
    assert build[0].endswith("-slim AS build")
    assert final[0].endswith("-slim")
    assert not re.search(r"apt-get|gcc|build-essential", "\n".join(build + final))
    assert "--only-binary :all: --no-deps --require-hashes" in "\n".join(build)


def test_the_image_copies_what_exists_and_the_builder_sees_nothing_else():
    copied = [line.split()[1] for line in stages()[0] if line.startswith("COPY")]
    seen = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(seen)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_health_check_of_the_image_is_a_program_that_asks_the_api():
    line = next(line for line in stages()[-1] if line.startswith("HEALTHCHECK"))
    program, flag, source = json.loads(line[line.index("[") :])
    compile(source, "healthcheck", "exec")
    assert (program, flag) == ("python", "-c")
    assert "/healthz" in source

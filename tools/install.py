"""Create `.venv` from the lock file: what `make install` runs, with nothing but the system's Python.

Does nothing when the environment already matches the lock, so that every make target may depend on it, and
all of them work without a network once it has run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
SCRIPT = """#!{python}
import sys

from app.cli import main

sys.exit(main())
"""


def main() -> None:
    """Make the environment equal to the lock, once, however many callers ask at the same time."""
    if sys.version_info < (3, 11):  # noqa: UP036 (an older one may well run this file)
        sys.exit(
            f"Rapport needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
            "Name another with `make PYTHON=python3.12 …`."
        )
    with (ROOT / ".install.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        wanted = fingerprint()
        if STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists():
            return
        install()
        STAMP.write_text(wanted)


def fingerprint() -> str:
    """Change when the lock, this script, the checkout's place or the Python does."""
    digest = hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes())
    digest.update(f"{ROOT}\0{sys.version}\0{sysconfig.get_platform()}".encode())
    return digest.hexdigest()


def install() -> None:
    """Build the environment and put the checkout itself on its path with the `rapport` command."""
    STAMP.unlink(missing_ok=True)
    if not usable():
        shutil.rmtree(VENV, ignore_errors=True)
        print("Creating .venv …", flush=True)
        create()
    print(f"Installing the packages of {LOCK.name} …", flush=True)
    bootstrap_uv()
    if not sync_with_uv():
        print("uv could not install them; trying pip …", flush=True)
        run(str(PYTHON), "-m", "pip", "install", "-q", "--require-hashes", "--no-deps", "-r", str(LOCK))
    site = subprocess.check_output(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    (Path(site) / "rapport-checkout.pth").write_text(f"{ROOT}\n")
    command = VENV / "bin" / "rapport"
    command.write_text(SCRIPT.format(python=PYTHON))
    command.chmod(0o755)


def usable() -> bool:
    """Whether `.venv` is there, still lies where it was made, and holds this Python."""
    if not PYTHON.exists():
        return False
    probe = [str(PYTHON), "-c", "import sys, pip; print(sys.prefix, *sys.version_info[:3])"]
    answer = subprocess.run(probe, capture_output=True, text=True, check=False)
    pip = VENV / "bin" / "pip"
    return (
        answer.stdout.split() == [str(VENV), *map(str, sys.version_info[:3])]
        and pip.exists()
        and str(VENV) in pip.read_text().splitlines()[0]
    )


def create() -> None:
    """Create the environment; says what to install where Debian keeps `venv` apart from Python."""
    if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode:
        sys.exit(
            "Python cannot create virtual environments here. "
            "On Debian or Ubuntu: apt-get install python3-venv"
        )


def bootstrap_uv() -> None:
    """Install the locked uv, checked by its hashes, into the project's own environment."""
    lines = LOCK.read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("uv=="))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pin:
        pin.writelines(lines[start:end])
        pin.flush()
        run(
            str(PYTHON),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--require-hashes",
            "--no-deps",
            "-r",
            pin.name,
        )


def sync_with_uv() -> bool:
    """Make the environment exactly the lock; uv does not read pip's configuration, so that is passed on."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    index = pip_setting("index-url")
    if index and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & environment.keys():
        environment["UV_DEFAULT_INDEX"] = index
    certificates = pip_setting("cert")
    if certificates and "SSL_CERT_FILE" not in environment and Path(certificates).is_file():
        environment["SSL_CERT_FILE"] = certificates
    command = [
        str(VENV / "bin" / "uv"),
        "pip",
        "sync",
        "-q",
        "--compile-bytecode",
        "--python",
        str(PYTHON),
        "--require-hashes",
        str(LOCK),
    ]
    if subprocess.run(command, env=environment, check=False).returncode:
        return False
    # `sync` removes pip, which is not in the lock; the next bootstrap needs it.
    run(str(PYTHON), "-m", "ensurepip")
    return True


def pip_setting(name: str) -> str | None:
    """A setting of pip's, from its environment variable or its configuration files."""
    if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
        return value
    command = [str(PYTHON), "-m", "pip", "config", "get", f"global.{name}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def run(*command: str) -> None:
    """Run a step; its own message is the explanation when it fails."""
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        sys.exit(
            f"`{' '.join(command)}` failed; see the message above. "
            "The first run needs a network to a package index."
        )


if __name__ == "__main__":
    main()

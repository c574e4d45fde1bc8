"""`rapport up`, which is `make run`: everything on this machine, from nothing to a company one can work in.

The command starts PostgreSQL, migrates, and runs API and worker as processes of its own; it ends when it is told
to, or when one of them does, and takes all of them with it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import processes, serving
from app.cli.local import database, load_settings, url_of
from app.cli.output import Failure, err, fail, out, progress, show_failure
from app.cli.processes import Child
from app.kernel.config import Settings

READY_SECONDS = 60.0


def up(
    host: serving.Host = None,
    port: serving.Port = None,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Create the demo company if it is missing.")
    ] = True,
) -> None:
    """Start everything: PostgreSQL, API, worker and the demo company. Ctrl-C stops all of it.

    The data lies in RAPPORT_DATA_DIR (default `var`) and is there again at the next start, also after a crash.
    """
    begun = time.monotonic()
    settings = load_settings()
    host, port = host or settings.host, settings.port if port is None else port
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    with _only_one(settings.data_dir):
        serving.refuse_taken(host, port)
        err.print("Starting …")
        try:
            with _everything(settings, host, port) as (url, children):
                asyncio.run(_serve(settings, url, children, begun, demo=demo))
        except (KeyboardInterrupt, asyncio.CancelledError):
            out.print("\nStopped.")


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Two of us on the same data would each stop the other's PostgreSQL."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            fail(
                f"Rapport runs on {data_dir} already: {lock.read().strip() or 'just starting'}.",
                "Stop it first, or give this one a folder and a port of its own: RAPPORT_DATA_DIR and RAPPORT_PORT.",
            )
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield


@contextmanager
def _everything(settings: Settings, host: str, port: int) -> Iterator[tuple[str, list[Child]]]:
    """All parts, running; stopped again in order, children first and the database last."""
    import app.main  # the children are forked from here and need not import it again
    import app.worker  # noqa: F401
    from app.cli.database import run
    from app.kernel import migrate
    from app.kernel.startup import key_ring

    with database(settings) as ready:
        run(migrate.upgrade_async(url_of(ready)), url_of(ready))
        key_ring(settings)  # made here once, so that API and worker do not both make one
        url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104
        environment = {"DATABASE_URL": url_of(ready), "RAPPORT_DATA_DIR": str(settings.data_dir.absolute())}
        if "public_url" not in settings.model_fields_set:
            environment["RAPPORT_PUBLIC_URL"] = url
        work = {
            "api": lambda: serving.run_api(host, port),
            "worker": lambda: serving.run_work(load_settings()),
        }
        children: list[Child] = []
        try:
            for name, run_it in work.items():
                log = settings.data_dir / "log" / f"{name}.log"
                children.append(processes.start(name, run_it, log=log, environment=environment))
            _await_ready(url, children)
            yield url, children
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sign, signal.SIG_IGN)  # we are stopping already
            processes.stop(children)


def _await_ready(url: str, children: Sequence[Child]) -> None:
    import httpx

    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(timeout=2, trust_env=False) as http:
        while time.monotonic() < deadline:
            _all_alive(children)
            with suppress(httpx.TransportError):
                if http.get(f"{url}/readyz").status_code == 200:
                    return
            time.sleep(0.05)
    fail(f"The API was not ready after {READY_SECONDS:.0f} s.", f"Its log is {children[0].log}.")


def _all_alive(children: Sequence[Child]) -> None:
    for child in children:
        if not child.running:
            fail(
                f"The {child.name} ended with code {child.code}; its last words:\n{child.said()}",
                f"The whole log is {child.log}.",
            )


async def _serve(
    settings: Settings, url: str, children: Sequence[Child], begun: float, *, demo: bool
) -> None:
    """Say where things are, fill the demo company, and wait until something ends."""
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sign, lambda: me.cancel() if me else None)
    _say_where(settings, url, children, time.monotonic() - begun)
    tasks = [asyncio.create_task(_watch(children))]
    if demo and not settings.in_production:
        tasks.append(asyncio.create_task(_demo(settings, url)))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _watch(children: Sequence[Child]) -> None:
    while True:
        _all_alive(children)
        await asyncio.sleep(0.25)


def _say_where(settings: Settings, url: str, children: Sequence[Child], seconds: float) -> None:
    facts = {"URL": url, "Documentation": f"{url}/docs"}
    if not settings.in_production:
        facts["Mail"] = f"{url}/dev/mail"
    facts["Logs"] = ", ".join(str(child.log) for child in children)
    out.print(f"[bold green]Rapport is running[/] (after {seconds:.1f} s).\n")
    _lines(facts)


async def _demo(settings: Settings, url: str) -> None:
    """Fill the demo company where it is missing or unfinished, and print how to use it."""
    import httpx

    from app.demo.client import Api, ApiFailure
    from app.demo.loader import DemoLoader
    from app.demo.state import DemoState

    state = DemoState.open(settings.data_dir / "demo.json")
    try:
        async with Api(url) as api:
            loader = DemoLoader(api, state)
            if not await loader.is_there():
                out.print(
                    "Filling the demo company, half a minute or so; then its sign-ins and a key are printed …"
                )
                with progress() as bar:
                    await loader.load(bar_of(bar))
    except (ApiFailure, httpx.TransportError) as error:
        show_failure(
            Failure(f"The demo company is not complete: {error}", "The API runs; `rapport demo` tries again.")
        )
        return
    say_demo(url, state)
    out.print("\nCtrl-C stops everything.")


def bar_of(bar: Any) -> Any:
    """A callback that shows each step of the loader as a line of its own."""
    lines: dict[str, Any] = {}

    def show(step: str, done: int, total: int) -> None:
        if step not in lines:
            lines[step] = bar.add_task(step, total=total)
        bar.update(lines[step], completed=done, total=total)

    return show


def say_demo(url: str, state: Any) -> None:
    """How to use the demo company."""
    out.print(f"\n[bold]Demo company {state.company}[/]: {state.summary}\n")
    _lines({role: f"{email}  password {state.password}" for role, email in state.people.items()})
    _lines({"API key": state.api_key})
    out.print("\nThree lines to paste:\n")
    for line in examples(url, state.api_key):
        out.print(line, markup=False)


def examples(url: str, api_key: str) -> list[str]:
    """Commands that work when pasted into a shell, one after the other."""
    curl = f"curl -sS -w '\\n' -H 'Authorization: Bearer {api_key}'"
    json = "-H 'Content-Type: application/json'"
    lead = '{"name": "孙悟空", "company": "花果山", "source": "web"}'
    return [
        f"{curl} '{url}/v1/leads?status=new&limit=2'",
        f"{curl} {json} -d '{lead}' {url}/v1/leads",
        f'{curl} {json} -d \'{{"query": "wukong"}}\' {url}/v1/leads/search',
    ]


def _lines(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        out.print(f"  [bold]{name:<13}[/] ", end="")
        out.print(value, markup=False)

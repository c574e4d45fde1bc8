"""`rapport serve` and `rapport worker`: the two kinds of processes that an installation runs any number of."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.local import load_settings, migrated_database, url_of
from app.cli.output import fail

if TYPE_CHECKING:
    from app.kernel.config import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on.  [default: RAPPORT_HOST or 127.0.0.1]")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on.  [default: RAPPORT_PORT or 8000]")
]


def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="API processes.")] = 1,
) -> None:
    """Serve the API. Without DATABASE_URL on the embedded PostgreSQL, started if it does not run yet."""
    settings = load_settings()
    host, port = host or settings.host, settings.port if port is None else port
    refuse_taken(host, port)
    with migrated_database(settings) as ready:
        # Uvicorn's own processes read the settings anew; what was started here reaches them by the environment.
        os.environ["DATABASE_URL"] = url_of(ready)
        run_api(host, port, workers)


def run_api(host: str, port: int, workers: int = 1) -> None:
    """Run the server until SIGINT or SIGTERM; requests at hand are finished."""
    import uvicorn

    # Uvicorn repeats the signal once it has finished; its default action would skip our own cleaning up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "app.cli.serving:application",
        factory=True,
        host=host,
        port=port,
        workers=workers if workers > 1 else None,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="on",
    )


def application() -> object:
    """The application of one server process, with logs and traces switched on."""
    from app.kernel import logging, tracing
    from app.kernel.config import get_settings
    from app.kernel.startup import settle_memory
    from app.main import create_app

    settings = get_settings()
    logging.configure(settings)
    tracing.configure(settings)
    made = create_app(settings)
    settle_memory()
    return made


def worker() -> None:
    """Relay events, run jobs and schedules. Any number of workers may run beside each other."""
    settings = load_settings()
    with migrated_database(settings) as ready:
        run_work(ready)


# Seconds after which a thread that computes makes room for one that has an answer of the server's: an import's reader
# kept its writer, and the server with it, waiting for the usual 5 ms.
SWITCH_SECONDS = 0.0002


def run_work(settings: Settings) -> None:
    """Run the worker until SIGINT or SIGTERM; what it is doing is finished or given back."""
    import uvloop

    from app.kernel.startup import share_one_arena

    share_one_arena()
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    from app.kernel import logging, metrics, tracing
    from app.kernel.startup import open_kernel, settle_memory
    from app.product import build_registry
    from app.tenants.leaving.erase_list import require_applied
    from app.tenants.privacy import people_list
    from app.worker import run_worker

    logging.configure(settings)
    tracing.configure(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    with metrics.served(settings.host, settings.worker_metrics_port):
        async with open_kernel(settings, build_registry()) as kernel:
            await require_applied(kernel)
            await people_list.require_applied(kernel)
            settle_memory()
            await run_worker(kernel, stop)
    tracing.shutdown()


def refuse_taken(host: str, port: int) -> None:
    """Fail with advice when somebody listens there already."""
    if port == 0:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                fail(
                    f"Port {port} of {host} is taken by another program.",
                    f"Stop that program, or choose another port: --port {port + 1}, or RAPPORT_PORT={port + 1}.",
                )
            fail(f"Cannot listen on {host}:{port}: {error.strerror}.", "Choose another --host or --port.")

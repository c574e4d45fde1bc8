"""The application on a real socket, for clients that cannot speak to it in process: browsers, the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from app.main import Application


@asynccontextmanager
async def served(app: Application) -> AsyncIterator[str]:
    """The address of `app`, whose lifespan the caller runs, on a free port of loopback."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    # Not `serve`, which would take the signals of the test process.
    task = asyncio.create_task(server._serve())
    try:
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task

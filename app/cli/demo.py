"""`rapport demo`: fill a running installation with invented companies, as a client of its API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.local import load_settings
from app.cli.output import AsJson, fail, out, print_json, progress
from app.cli.up import bar_of, say_demo

Url = Annotated[str, typer.Option("--url", envvar="RAPPORT_URL", help="Where the API is.")]


def demo(
    size: Annotated[
        Literal["small", "large"],
        typer.Option(
            help="small: one company to try; large: 200 companies with 1,000,000 leads, for benchmarks."
        ),
    ] = "small",
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Another seed invents other records.", show_default="7, or the last one"),
    ] = None,
    url: Url = "http://127.0.0.1:8000",
    as_json: AsJson = False,
) -> None:
    """Create the demo company through the public API, or go on where that was interrupted.

    Members join by mailed invitations, so the server must run in development, where it shows its mail.
    Password and API key are kept in RAPPORT_DATA_DIR, readable for you only.
    """
    import httpx

    folder = load_settings().data_dir
    try:
        if size == "small":
            asyncio.run(_small(folder, url, seed, as_json=as_json))
        else:
            asyncio.run(_large(folder, url, seed, as_json=as_json))
    except httpx.TransportError:
        fail(f"Nobody answers at {url}.", "Start it with `rapport up`, or name another address: --url.")


async def _small(folder: Path, url: str, seed: int | None, *, as_json: bool) -> None:
    from app.demo.client import Api, ApiFailure
    from app.demo.loader import DemoLoader
    from app.demo.state import DemoState

    state = DemoState.open(folder / "demo.json", seed=seed)
    async with Api(url) as api:
        loader = DemoLoader(api, state)
        try:
            if not await loader.is_there():
                with progress(quiet=as_json) as bar:
                    await loader.load(bar_of(bar))
        except ApiFailure as failure:
            fail(str(failure), "What is loaded stays; run the command again to go on.")
    if as_json:
        print_json(
            {
                "company": state.company,
                "people": state.people,
                "password": state.password,
                "api_key": state.api_key,
            }
        )
    else:
        say_demo(url, state)


async def _large(folder: Path, url: str, seed: int | None, *, as_json: bool) -> None:
    from app.demo.client import Api, ApiFailure
    from app.demo.large_loader import LargeLoader
    from app.demo.state import DemoState

    state = DemoState.open(folder / "demo-large.json", seed=seed)
    async with Api(url) as api:
        loader = LargeLoader(api, state)
        try:
            with progress(quiet=as_json) as bar:
                await loader.load(bar_of(bar))
        except ApiFailure as failure:
            fail(str(failure), "What is loaded stays; run the command again to go on.")
    if as_json:
        print_json({"password": state.password, "api_keys": state.keys})
    else:
        out.print(f"Loaded. Passwords and API keys are in {folder / 'demo-large.json'}.")

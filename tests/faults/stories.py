"""Clients that tell whole stories to an installation that is being killed: each step under one key until it is answered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from tests.faults.installation import Installation

CLIENTS = 6
T = TypeVar("T")
Json = dict[str, Any]


class Teller:
    """One client: sends a request again under the same key until the installation answers it."""

    def __init__(self, site: Installation, http: httpx.AsyncClient, failures: Counter[str]) -> None:
        self._site, self._http, self._failures = site, http, failures

    async def get(self, path: str) -> Any:
        return await self.send("GET", path)

    async def post(self, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """The answer to a request whose effect happened once, however often it had to be sent."""
        headers = {"Idempotency-Key": str(uuid4())} | ({"If-Match": f'"{version}"'} if version else {})
        return await self.send("POST", path, json=body, headers=headers)

    async def send(self, method: str, path: str, **options: Any) -> Any:
        while True:
            try:
                answer = await self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                self._failures[type(error).__name__] += 1
            else:
                if answer.is_success:
                    return answer.json() if answer.content else None
                self._failures[str(answer.status_code)] += 1
                code = answer.json().get("code")
                # Everything else would be a wrong answer to a right request.
                assert answer.status_code == 503 or code == "request_in_flight", (
                    f"{method} {path}: {answer.text}\n{self._site.said('api')}"
                )
            await asyncio.sleep(0.05)


async def told(
    site: Installation,
    key: str,
    tell: Callable[[Teller, int], Awaitable[T]],
    *,
    stories: int,
    victims: Sequence[str],
) -> list[T]:
    """What came of `stories` stories, told by several clients while one victim after the other is killed."""
    failures: Counter[str] = Counter()
    came: list[T] = []
    numbers = iter(range(stories))

    async def client() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=10) as http:
            teller = Teller(site, http, failures)
            for number in numbers:
                came.append(await tell(teller, number))

    async def killer() -> None:
        moments = random.Random(7)
        for number, victim in enumerate(victims):
            wanted = (number + 1) * stories // (len(victims) + 1)
            while len(came) < wanted:  # noqa: ASYNC110 - the clients' answers move it
                await asyncio.sleep(0.01)
            await asyncio.sleep(moments.uniform(0, 0.2))
            await site.kill_and_restart(victim)

    async with asyncio.TaskGroup() as group:
        group.create_task(killer())
        for _ in range(CLIENTS):
            group.create_task(client())
    assert failures, "the kills hit nobody: the test proves nothing"
    return came

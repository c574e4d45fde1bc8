"""The large demo for benchmarks: 200 companies sign up and import their leads, a few at a time.

Sign-up and upload carry fixed idempotency keys, so that a second run goes on with what the first one left: an
import that runs is followed, not started again.
"""

from __future__ import annotations

import asyncio
import csv
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from app.demo import rows
from app.demo.bulk import ImportOrder, follow_import, start_import
from app.demo.client import Api, ApiFailure
from app.demo.large import TenantPlan, large_leads, large_plan
from app.demo.state import DemoState

Show = Callable[[str, int, int], None]
_PARALLEL: Final = 3


class LargeLoader:
    """One load of the large demo; `plans` is the whole of it unless a part is given."""

    def __init__(self, api: Api, state: DemoState, plans: Sequence[TenantPlan] | None = None) -> None:
        self._public = api
        self._state = state
        self._plans = large_plan() if plans is None else plans
        self._total = sum(plan.leads for plan in self._plans)
        self._done: dict[int, int] = {}

    async def load(self, show: Show) -> None:
        """Load what is missing; `show` hears of leads. Raises: ApiFailure, httpx.TransportError."""
        gate = asyncio.Semaphore(_PARALLEL)

        async def one(plan: TenantPlan) -> None:
            async with gate:
                await self._tenant(plan, show)

        tasks = [asyncio.ensure_future(one(plan)) for plan in self._plans]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _tenant(self, plan: TenantPlan, show: Show) -> None:
        def told(done: int, _: int) -> None:
            self._done[plan.index] = done
            show("leads", sum(self._done.values()), self._total)

        if not self._state.done(plan.slug):
            api = self._public.as_user(await self._key(plan))
            await self._leads(api, plan, told)
            self._state.finish(plan.slug)
        told(plan.leads, plan.leads)

    async def _key(self, plan: TenantPlan) -> str:
        """The company's API key; the company is made first if need be."""
        known = self._state.key_of(plan.slug)
        if known:
            return known
        chinese = plan.locale == "zh-CN"
        form = {
            "company": plan.name,
            "name": "Owner",
            "email": plan.owner_email,
            "password": self._state.password,
            "locale": plan.locale,
            "country": "CN" if chinese else "GB",
            "time_zone": "Asia/Shanghai" if chinese else "Europe/London",
            "currency": "CNY" if chinese else "GBP",
        }
        tokens = await self._public.post("/v1/sign-up", form, key=f"large-{self._state.seed}-{plan.index}")
        session = self._public.as_user(tokens["access_token"])
        made = await session.post("/v1/api-keys", {"name": "Benchmarks"})
        self._state.keep_key(plan.slug, made["key"])
        return str(made["key"])

    async def _leads(self, api: Api, plan: TenantPlan, told: Callable[[int, int], None]) -> None:
        order = ImportOrder("leads", mode="create", duplicate_rule="allow")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "leads.csv"
            await asyncio.to_thread(write_leads, path, self._state.seed, plan)
            with path.open("rb") as content:
                key = f"large-{self._state.seed}"
                started = await start_import(api, order, path.name, content, key=key)
        ended = await follow_import(api, started, told)
        if ended["state"] != "completed":
            error = ended["error"] or {"detail": f"{ended['failed']} rows were refused"}
            detail = f"the import of {plan.slug} {ended['state']}: {error['detail']}"
            raise ApiFailure("POST", "/v1/imports", 422, {"detail": detail})


def write_leads(path: Path, seed: int, plan: TenantPlan) -> None:
    """A tenant's leads as a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows.LARGE_COLUMNS)
        writer.writerows(rows.large_row(lead) for lead in large_leads(seed, plan.index, plan.leads))

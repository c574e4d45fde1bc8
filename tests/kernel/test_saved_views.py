"""Saved views: checked when saved, seen by whom they are shared with, applied under the request's own filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from app.kernel.access import Actor, Scope
from app.kernel.errors import Forbidden, Invalid, InvalidFilter, NotFound, StaleVersion
from app.kernel.listing import query_from_parameters
from app.kernel.record_reads import list_records
from app.kernel.runtime import Kernel
from app.kernel.saved_views import SavedView, SavedViewCreate, SavedViews, SavedViewUpdate, apply_view
from app.kernel.uow import transaction
from tests.support.kernel import bare_kernel, new_tenant
from tests.support.toy import TOY, ToyService

SYSTEM = new_tenant()
RED = {"or": [{"and": [{"field": "colour", "op": "eq", "value": "red"}]}]}


@pytest.fixture
async def kernel(worker_database: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    async with bare_kernel(worker_database, tmp_path) as found:
        yield found


def member(tenant: Actor, *permissions: str, teams: tuple[Any, ...] = ()) -> Actor:
    id = uuid4()
    grants = dict.fromkeys(("toy:read", *permissions), Scope.ALL)
    return Actor(
        tenant=tenant.tenant, kind="member", id=id, member_id=id, name="Ada", grants=grants, team_ids=teams
    )


async def save(kernel: Kernel, actor: Actor, **body: Any) -> SavedView:
    async with transaction(kernel, actor) as uow:
        return await SavedViews(uow).create(
            SavedViewCreate.model_validate({"object": "toy", "name": "Mine"} | body)
        )


async def visible(kernel: Kernel, actor: Actor) -> list[str]:
    async with transaction(kernel, actor) as uow:
        return [view.name for view in await SavedViews(uow).list("toys")]


async def test_a_view_narrows_and_orders_a_list_and_the_request_narrows_it_further(kernel: Kernel):
    tenant = new_tenant()
    ada = member(tenant)
    async with transaction(kernel, tenant) as uow:
        for name, colour, pieces in (("a", "red", 1), ("b", "red", 2), ("c", "blue", 3)):
            await ToyService(uow).create({"name": name, "colour": colour, "fragile": False, "pieces": pieces})
    view = await save(kernel, ada, filter=RED, sort=["-name"], fields=["name"])

    async def shown(*parameters: tuple[str, str]) -> list[Any]:
        async with transaction(kernel, ada, read_only=True) as uow:
            query = await apply_view(uow, "toy", str(view.id), query_from_parameters(parameters))
            return [
                list(row.values())[1:] for row in orjson.loads(await list_records(uow, TOY, query))["data"]
            ]

    assert await shown() == [["b"], ["a"]]
    assert await shown(("sort", "name")) == [["a"], ["b"]]
    assert await shown(("pieces[gte]", "2")) == [["b"]]
    assert await shown(("fields", "pieces")) == [[2], [1]]


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"or": [{"and": [{"field": "ghost", "op": "eq", "value": 1}]}]}},
        {"filter": {"or": [{"and": [{"field": "pieces", "op": "contains", "value": "1"}]}]}},
        {"sort": ["ghost"]},
        {"fields": ["ghost"]},
    ],
)
async def test_a_view_that_could_not_run_is_not_saved(kernel: Kernel, body: dict[str, Any]):
    ada = member(new_tenant())
    with pytest.raises(InvalidFilter):
        await save(kernel, ada, **body)
    assert await visible(kernel, ada) == []


async def test_a_view_of_a_record_type_that_one_may_not_read_is_refused(kernel: Kernel):
    nobody = Actor(tenant=new_tenant().tenant, kind="member", id=uuid4(), name="Bo")
    with pytest.raises(Invalid):
        await save(kernel, nobody)


async def test_views_are_seen_by_whom_they_are_shared_with(kernel: Kernel):
    tenant, team = new_tenant(), uuid4()
    ada, bo = member(tenant, "saved_view:share"), member(tenant, teams=(team,))
    stranger = member(new_tenant())
    await save(kernel, ada, name="private")
    shared = await save(kernel, ada, name="everyone", shared_with="everyone")
    async with transaction(kernel, ada) as uow:
        private = await SavedViews(uow).create(SavedViewCreate(object="toy", name="team"))
        await uow.update(private, shared_with="team", team_id=team)
    assert await visible(kernel, ada) == ["everyone", "private", "team"]
    assert await visible(kernel, bo) == ["everyone", "team"]
    assert await visible(kernel, stranger) == []
    async with transaction(kernel, stranger) as uow:
        with pytest.raises(NotFound):
            await SavedViews(uow).get(shared.id)
        with pytest.raises(InvalidFilter):
            await apply_view(uow, "toy", str(shared.id), query_from_parameters([]))


async def test_sharing_needs_its_permission(kernel: Kernel):
    ada = member(new_tenant())
    with pytest.raises(Forbidden):
        await save(kernel, ada, shared_with="everyone")
    assert await visible(kernel, ada) == []


async def test_a_view_of_another_member_is_changed_only_with_the_permission(kernel: Kernel):
    tenant = new_tenant()
    ada, bo, boss = member(tenant, "saved_view:share"), member(tenant), member(tenant, "saved_view:manage")
    view = await save(kernel, ada, shared_with="everyone")
    change = SavedViewUpdate(name="Taken")
    async with transaction(kernel, bo) as uow:
        with pytest.raises(Forbidden):
            await SavedViews(uow).update(view.id, change, expected_version=1)
        with pytest.raises(Forbidden):
            await SavedViews(uow).delete(view.id, expected_version=1)
    assert await visible(kernel, bo) == ["Mine"]
    async with transaction(kernel, boss) as uow:
        await SavedViews(uow).update(view.id, change, expected_version=1)
    async with transaction(kernel, ada) as uow:
        with pytest.raises(StaleVersion):
            await SavedViews(uow).delete(view.id, expected_version=1)
        await SavedViews(uow).delete(view.id, expected_version=2)
    assert await visible(kernel, ada) == []

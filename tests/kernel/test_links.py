"""Secret links: whose they are, what they do not tell, and that they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.access import Actor
from app.kernel.clock import FixedClock
from app.kernel.errors import Invalid, NotFound
from app.kernel.links import is_over, new_key, new_link, new_secret, read_link, tenant_of_key
from app.kernel.logging import _SECRET_VALUES
from app.kernel.record_links import LinkState, RecordLinks
from app.kernel.runtime import Kernel
from app.kernel.secrets import encode_base64url, hash_token
from app.kernel.uow import UnitOfWork, transaction
from tests.support.kernel import bare_kernel, new_tenant

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PURPOSE = "toys.page"


@pytest.fixture
async def kernel(worker_database: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    async with bare_kernel(worker_database, tmp_path, clock=FixedClock(NOW)) as found:
        yield found


def links_of(uow: UnitOfWork) -> RecordLinks:
    return RecordLinks(uow, purpose=PURPOSE, audit="toy")


async def made(
    kernel: Kernel, actor: Actor, record: UUID, ends: datetime = NOW + timedelta(days=7)
) -> tuple[UUID, str]:
    async with transaction(kernel, actor) as uow:
        row, token = await links_of(uow).issue(record, expires_at=ends)
        return row.id, token.token


async def count_of_rows(kernel: Kernel, actor: Actor) -> int:
    async with transaction(kernel, actor, read_only=True) as uow:
        row = await uow.fetchrow("SELECT count(*) FROM kernel.links WHERE tenant_id = $1", uow.tenant_id)
    assert row is not None
    return int(row[0])


# -- tokens --------------------------------------------------------------------------------------------------


async def test_a_link_names_its_company_and_its_hash(kernel: Kernel):
    tenant_id = uuid4()
    link = new_link(kernel, tenant_id, PURPOSE)
    found = read_link(kernel, link.token, PURPOSE)
    assert (found.tenant_id, found.hash, link.hash) == (tenant_id, link.hash, hash_token(link.token))
    assert _SECRET_VALUES.sub("…", f"GET /q/{link.token}") == "GET /q/…"
    assert len({new_link(kernel, tenant_id, PURPOSE).token for _ in range(100)}) == 100


async def test_a_link_that_was_made_up_changed_or_made_for_something_else_is_nothing(kernel: Kernel):
    tenant_id = uuid4()
    token = new_link(kernel, tenant_id, PURPOSE).token
    signed_short = "rl_" + kernel.secrets.sign(tenant_id.bytes, purpose=PURPOSE)
    guesses = [
        "", "rl_", "x", token[3:], token[:-1], token + "A", token + "=", "rl_" + "A" * 60, token.lower(), "rl_" + token,
        signed_short, new_link(kernel, tenant_id, "toys.other").token, new_secret().token, new_key(tenant_id),
        "rl_" + encode_base64url(tenant_id.bytes * 3), "链接",
    ]  # fmt: skip
    for guess in guesses:
        with pytest.raises(NotFound):
            read_link(kernel, guess, PURPOSE)
    for position in range(3, len(token)):
        other = "A" if token[position] != "A" else "B"
        with pytest.raises(NotFound):
            read_link(kernel, token[:position] + other + token[position + 1 :], PURPOSE)


@given(st.text(max_size=120))
def test_what_is_no_key_names_no_company(text: str):
    assert tenant_of_key(text) is None


@given(st.uuids())
def test_a_key_names_its_company_in_one_spelling(tenant_id: UUID):
    key = new_key(tenant_id)
    assert (len(key), tenant_of_key(key)) == (46, tenant_id)
    assert [tenant_of_key(other) for other in (key + "=", key[:-1], key + "A", " " + key)] == [None] * 4


def test_a_link_works_until_the_moment_at_which_it_ends():
    moment = timedelta(microseconds=1)
    assert [is_over(end, NOW) for end in (None, NOW + moment, NOW, NOW - moment)] == [
        False,
        False,
        True,
        True,
    ]


# -- links to records ----------------------------------------------------------------------------------------


async def test_a_link_is_found_by_its_token_and_only_its_hash_is_kept(kernel: Kernel):
    actor, record = new_tenant(), uuid4()
    id, token = await made(kernel, actor, record)
    link = read_link(kernel, token, PURPOSE)
    assert link.tenant_id == actor.tenant_id
    async with transaction(kernel, actor) as uow:
        row = await links_of(uow).behind(link)
        assert (row.id, row.record_id, row.token_hash) == (id, record, hash_token(token))
        stored = await uow.fetchrow(
            "SELECT (SELECT string_agg(l::text, '') FROM kernel.links l WHERE tenant_id = $1) || (SELECT"
            " string_agg(a::text, '') FROM kernel.audit_entries a WHERE tenant_id = $1)",
            uow.tenant_id,
        )
        assert stored is not None
        assert token not in stored[0]
        with pytest.raises(NotFound):
            await RecordLinks(uow, purpose="toys.other", audit="toy").behind(link)
    async with transaction(kernel, new_tenant()) as uow:
        with pytest.raises(NotFound):
            await links_of(uow).behind(link)


async def test_a_link_ends_by_the_clock_or_by_hand(kernel: Kernel):
    actor, record = new_tenant(), uuid4()
    early, _ = await made(kernel, actor, record, NOW + timedelta(days=1))
    late, _ = await made(kernel, actor, record, NOW + timedelta(days=3))
    async with transaction(kernel, actor) as uow:
        revoked = await links_of(uow).revoke(record, late)
        assert revoked.revoked_at == NOW
        assert (await links_of(uow).revoke(record, late)).revoked_at == NOW
    for days, states in ((0, ["open", "revoked"]), (1, ["expired", "revoked"]), (9, ["expired", "revoked"])):
        kernel.clock = FixedClock(NOW + timedelta(days=days))
        async with transaction(kernel, actor, read_only=True) as uow:
            links = links_of(uow)
            rows = await links.list(record)
            assert [row.id for row in rows] == [early, late]
            assert [links.state_of(row) for row in rows] == [LinkState(state) for state in states]


async def test_links_of_other_records_purposes_and_companies_are_not_revoked(kernel: Kernel):
    actor, record = new_tenant(), uuid4()
    id, _ = await made(kernel, actor, record)
    stranger = new_tenant()
    for who, target, purpose in (
        (actor, uuid4(), PURPOSE),
        (actor, record, "toys.other"),
        (stranger, record, PURPOSE),
    ):
        async with transaction(kernel, who) as uow:
            with pytest.raises(NotFound):
                await RecordLinks(uow, purpose=purpose, audit="toy").revoke(target, id)
    async with transaction(kernel, actor, read_only=True) as uow:
        assert [row.revoked_at for row in await links_of(uow).list(record)] == [None]


@pytest.mark.parametrize("ends", [NOW, NOW - timedelta(days=1), NOW + timedelta(days=731)])
async def test_a_link_ends_within_two_years(kernel: Kernel, ends: datetime):
    actor = new_tenant()
    async with transaction(kernel, actor) as uow:
        with pytest.raises(Invalid):
            await links_of(uow).issue(uuid4(), expires_at=ends)
    assert await count_of_rows(kernel, actor) == 0


async def test_a_record_has_a_hundred_links_at_most(kernel: Kernel):
    actor, record = new_tenant(), uuid4()
    async with transaction(kernel, actor) as uow:
        for _ in range(100):
            await links_of(uow).issue(record, expires_at=NOW + timedelta(days=1))
        with pytest.raises(Invalid):
            await links_of(uow).issue(record, expires_at=NOW + timedelta(days=1))
    assert await count_of_rows(kernel, actor) == 100


async def test_three_hundred_views_at_once_count_three_hundred_and_one_is_the_first(kernel: Kernel):
    actor, record = new_tenant(), uuid4()
    _, token = await made(kernel, actor, record)
    link = read_link(kernel, token, PURPOSE)

    async def view() -> bool:
        async with transaction(kernel, actor) as uow:
            links = links_of(uow)
            return await links.seen(await links.behind(link))

    assert sum(await asyncio.gather(*(view() for _ in range(300)))) == 1
    async with transaction(kernel, actor, read_only=True) as uow:
        [row] = await links_of(uow).list(record)
    assert (row.views, row.first_viewed_at, row.last_viewed_at) == (300, NOW, NOW)

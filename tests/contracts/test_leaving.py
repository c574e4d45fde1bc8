"""A company with one of everything leaves: nothing is forgotten in its export, and nobody else's is in it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.kernel.catalogue import secret_columns, tenant_tables
from app.kernel.files import file_key
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.main import Application
from app.tenants.leaving.certificates import certificate_of
from app.tenants.leaving.erasure import KEPT, Erasure
from tests.contracts.world import World
from tests.support.archive import Opened, exported
from tests.support.copying import copy_company, rows_of
from tests.support.fingerprint import changes, fingerprint
from tests.support.kernel import all_is_sealed
from tests.tenants.leaving.support import begun
from tests.tenants.people import Look


@pytest.fixture(scope="module")
async def opened(ours: World, app: Application) -> Opened:
    return await exported(ours.owner, app)


async def test_every_table_is_there_with_every_row(ours, opened, look):
    tenant_id = ours.company.tenant_id
    found = await tenant_tables(look.connection)
    readable = {table.name for table in found if table.readable}
    assert set(opened.tables) == readable
    assert {one["table"] for one in opened.manifest["left_out"]} == {t.name for t in found} - readable
    # What the export itself writes: the end of its own job and what is audited.
    moving = {
        "kernel.jobs",
        "kernel.audit_entries",
        "kernel.usage_records",
        "tenants.sessions",
        "kernel.outbox",
    }
    wrong = {}
    for name, told in opened.tables.items():
        there = await look.value(f"SELECT count(*) FROM {name} WHERE tenant_id = $1", tenant_id)
        if there != told["rows"] and not (name in moving and there >= told["rows"]):
            wrong[name] = (told["rows"], there)
    assert wrong == {}
    assert sum(1 for one in opened.tables.values() if one["rows"]) > 100


def test_rows_and_checksums_are_those_of_the_manifest(opened):
    for name, told in opened.tables.items():
        content = opened.packed.read(told["file"])
        assert hashlib.sha256(content).hexdigest() == told["sha256"], name
        rows = opened.rows(name)
        assert len(rows) == told["rows"], name
        names = {column["name"] for column in told["columns"]}
        assert all(row.keys() == names for row in rows), name


async def test_no_row_and_no_word_of_another_company(ours, theirs, opened):
    mine, other = str(ours.company.tenant_id), str(theirs.company.tenant_id)
    for name in opened.tables:
        assert {row["tenant_id"] for row in opened.rows(name)} <= {mine}, name
    for name in opened.packed.namelist():
        content = opened.packed.read(name)
        assert other.encode() not in content, name
        assert b"okapi" not in content, name


def test_secrets_and_hashes_are_left_out(opened):
    secrets = secret_columns()
    assert "secret" in secrets["kernel.webhook_endpoints"]
    assert "token_hash" in secrets["kernel.links"]
    for name, told in opened.tables.items():
        assert told["left_out"] == sorted(secrets.get(name, ()))
        assert secrets.get(name, frozenset()).isdisjoint(column["name"] for column in told["columns"])
    assert opened.tables["kernel.webhook_endpoints"]["rows"] > 0
    for name in opened.packed.namelist():
        assert b"argon2" not in opened.packed.read(name), name


def test_values_are_read_back_as_they_were(ours, opened):
    accounts = {row["id"]: row for row in opened.rows("customers.accounts")}
    assert ours.ids["accounts"] in accounts
    assert any("zebra" in row["name"] for row in accounts.values())
    assert opened.manifest["format"] == "rapport-tenant-export"
    assert opened.manifest["version"] == 1


def test_files_come_along_with_their_content(opened):
    index = opened.files()
    assert opened.manifest["files"]["count"] == len(index) > 0
    for one in index:
        content = opened.packed.read(one["file"])
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["size"], one["sha256"])
    kept = {row["sha256"] for row in opened.rows("kernel.files")}
    assert kept & {one["sha256"] for one in index}
    assert not any("tenant-exports" in name for name in opened.packed.namelist())


# What is bytes and no secret, so that a new column of bytes has to be looked at here.
PLAIN_BYTES = {
    "after_sales.case_mails.message_hash",
    "kernel.audit_checkpoints.hash", "kernel.audit_checkpoints.signature", "kernel.audit_heads.hash",
    "kernel.audit_redactions.content", "kernel.audit_redactions.hash", "kernel.audit_redactions.previous",
    "kernel.audit_redactions.signature", "kernel.audit_seals.hash", "tenants.privacy_refusals.key_hash",
    "tenants.privacy_requests.signature", "leads.captured_mails.message_hash", "tenants.logos.content",
    "tenants.tenants.logo_hash", "tenants.usage_events.hash",
}  # fmt: skip


async def test_columns_of_bytes_are_secrets_or_known_to_be_none(look):
    secrets = secret_columns()
    unknown = {
        f"{table.name}.{column.name}"
        for table in await tenant_tables(look.connection)
        for column in table.columns
        if table.readable and column.type == "bytea" and column.name not in secrets.get(table.name, ())
    }
    assert unknown == PLAIN_BYTES


# -- and then it is gone -------------------------------------------------------------------------------------

# What the erasure itself writes before it deletes: that it was asked for, its end of jobs, its last seal.
WRITTEN_MEANWHILE = {
    "kernel.audit_entries", "kernel.audit_seals", "kernel.audit_heads", "kernel.audit_checkpoints", "kernel.outbox",
    "kernel.inbox", "kernel.jobs", "kernel.usage_records", "tenants.operator_acts", "opportunities.sums",
    "opportunities.funnel_sums", "opportunities.funnel_days", "opportunities.passages",
    "tenants.email_tokens",  # goes with the person whom it was mailed to
}  # fmt: skip


async def test_of_an_erased_company_nothing_is_left_but_what_is_named(ours, theirs, look, app):
    assert app.kernel is not None
    gone = new_id()
    await copy_company(look.connection, ours.company.tenant_id, gone)
    await credentials(look, gone)
    key = file_key(gone, "files", "letter.txt")
    await app.kernel.files.put_stream(key, one_piece(b"heron"), max_size=100)
    neighbours = await fingerprint(look.connection, ours.company.tenant_id, theirs.company.tenant_id)
    await audit_is_sealed(app.kernel, ours, theirs)
    asked = await begun(app.kernel, gone)  # which makes its last bills first
    before = await rows_of(look.connection, gone)
    assert len(before) > 100
    assert {"tenants.refresh_tokens", "tenants.api_key_hashes", "tenants.email_tokens"} <= before.keys()

    document = await Erasure(app.kernel, asked, batch=7).run()

    left = await rows_of(look.connection, gone)
    assert left.keys() <= KEPT.keys()
    assert {"tenants.erasures", "tenants.billing_transactions", "tenants.billing_entries"} <= left.keys()
    assert left["tenants.billing_entries"] == before["tenants.billing_entries"]
    counted = {name: count for name, count in document["rows"].items() if name not in WRITTEN_MEANWHILE}
    assert counted == {n: c for n, c in before.items() if n not in WRITTEN_MEANWHILE and n not in KEPT}
    assert document["rows"]["kernel.audit_entries"] >= before["kernel.audit_entries"]
    assert (document["users"], document["files"], document["file_bytes"]) == (1, 1, 5)
    assert [found async for found in app.kernel.files.of_tenant(gone)] == []
    sealed = ("kernel.audit_seals", "kernel.audit_heads", "kernel.audit_checkpoints")
    after = await fingerprint(look.connection, ours.company.tenant_id, theirs.company.tenant_id)
    assert {n: c for n, c in changes(neighbours, after).items() if n not in sealed} == {}
    found = await certificate_of(app.kernel, gone)
    assert (found.valid, found.document) == (True, document)


async def credentials(look: Look, tenant_id: UUID) -> None:
    """What a company's people sign in with, which its copy has not; one of them belongs to no other company."""
    user = new_id()
    await look.run(
        "INSERT INTO tenants.users (id, email, email_key, name, locale, created_at, updated_at)"
        " VALUES ($1::uuid, $1::uuid::text, $1::uuid::text, 'Only Here', 'en', now(), now())",
        user,
    )
    await look.run(
        "UPDATE tenants.members SET user_id = $2 WHERE tenant_id = $1 AND id = (SELECT max(id::text)::uuid"
        " FROM tenants.members WHERE tenant_id = $1)",
        tenant_id,
        user,
    )
    await look.run(
        "INSERT INTO tenants.refresh_tokens (token_hash, tenant_id, session_id, created_at)"
        " SELECT sha256($1::uuid::text::bytea), $1::uuid, id, now() FROM tenants.sessions WHERE tenant_id = $1 LIMIT 1",
        tenant_id,
    )
    await look.run(
        "INSERT INTO tenants.api_key_hashes (key_hash, tenant_id, api_key_id)"
        " SELECT sha256($1::uuid::text::bytea), $1::uuid, id FROM tenants.api_keys WHERE tenant_id = $1 LIMIT 1",
        tenant_id,
    )
    await look.run(
        "INSERT INTO tenants.email_tokens (token_hash, purpose, user_id, tenant_id, created_at, expires_at)"
        " VALUES (sha256($1::uuid::text::bytea), 'invitation', $2, $1::uuid, now(), now())",
        tenant_id,
        user,
    )
    await look.run(
        "WITH t AS (INSERT INTO tenants.billing_transactions (tenant_id, id, kind, at)"
        " VALUES ($1::uuid, gen_random_uuid(), 'adjustment', now()) RETURNING id)"
        " INSERT INTO tenants.billing_entries (tenant_id, id, transaction_id, account, currency, amount)"
        " SELECT $1::uuid, gen_random_uuid(), t.id, a.name, 'USD', a.amount FROM t,"
        " (VALUES ('credit', 100::bigint), ('customer_balance', -100)) a (name, amount)",
        tenant_id,
    )


async def one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def audit_is_sealed(kernel: Kernel, *worlds: World) -> None:
    """So that sealing changes nothing of the neighbours while they are compared."""
    for world in worlds:
        await all_is_sealed(kernel, world.company.tenant_id)

"""A company with one of everything leaves: nothing is forgotten in its export, and nobody else's is in it."""

from __future__ import annotations

import hashlib

import pytest

from app.kernel.catalogue import secret_columns, tenant_tables
from app.main import Application
from tests.contracts.world import World
from tests.support.archive import Opened, exported


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
    "kernel.audit_checkpoints.hash", "kernel.audit_checkpoints.signature", "kernel.audit_heads.hash",
    "kernel.audit_seals.hash", "leads.captured_mails.message_hash", "tenants.logos.content",
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

"""Mapped classes are written beside the migrations: column by column they must say the same."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import configure_mappers

import app.main  # noqa: F401 - loads every module, and with them every mapped class
from app.kernel.db import DIALECT
from app.kernel.models import Base, RecordTable, TenantOwned, Versioned
from tests.architecture.catalogue import ROOT, module_schemas

SAME = {"timestamp with time zone": "timestamp with time zone", "float": "double precision"}


def mapped() -> list[type[Base]]:
    configure_mappers()
    return sorted((mapper.class_ for mapper in Base.registry.mappers), key=lambda kind: kind.__name__)


def table_of(kind: type[Base]) -> Any:
    return kind.__table__


def type_name(column: Any) -> str:
    name = column.type.compile(dialect=DIALECT).lower()
    return str(SAME.get(name, name))


@pytest.fixture(scope="module")
async def columns(superuser) -> dict[str, dict[str, tuple[str, bool]]]:
    rows = await superuser.fetch(
        "SELECT format('%s.%s', n.nspname, c.relname) AS on_table, a.attname AS name,"
        " format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname = ANY($1)",
        sorted(module_schemas()),
    )
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for row in rows:
        found.setdefault(row["on_table"], {})[row["name"]] = (row["type"], row["nullable"])
    return found


@pytest.mark.parametrize("kind", mapped(), ids=lambda kind: kind.__name__)
async def test_a_mapped_class_says_what_its_table_says(kind, columns):
    table = table_of(kind)
    stored = columns[f"{table.schema}.{table.name}"]
    said = {column.name: (type_name(column), bool(column.nullable)) for column in table.columns}
    assert said == {name: stored.get(name, "no such column") for name in said}
    assert set(stored) - set(said) == set(), "columns that the class does not know"


@pytest.mark.parametrize("kind", mapped(), ids=lambda kind: kind.__name__)
def test_a_mapped_class_lies_in_its_modules_schema_and_belongs_to_a_tenant(kind):
    unit = kind.__module__.split(".")
    expected = {"kernel": "kernel", "tenants": "tenants", "toy": "toys"}.get(
        unit[1] if unit[0] == "app" else unit[-1]
    )
    assert table_of(kind).schema == (expected or unit[2])
    assert issubclass(kind, TenantOwned) or "tenant_id" in table_of(kind).columns


def test_read_fields_of_record_types_are_columns_of_their_table(app):
    for record in app.registry.records.values():
        assert issubclass(record.model, RecordTable)
        assert issubclass(record.model, Versioned)
        known = set(table_of(record.model).columns.keys())
        assert set(record.read.model_fields) <= known, record.object
        assert set(record.update.model_fields) <= set(record.create.model_fields), record.object
        assert set(record.search.columns) <= known, record.object
        for name, found in record.fields.items():
            assert found.nullable >= table_of(record.model).columns[name].nullable, f"{record.object}.{name}"


async def test_a_field_that_may_be_null_in_the_table_may_be_null_in_answers_and_pages(app, columns):
    # A keyset page over a field that is wrongly thought never null would lose rows.
    wrong = [
        f"{record.object}.{name}"
        for record in app.registry.records.values()
        for name, found in record.fields.items()
        if columns[record.table][name][1] and not found.nullable
    ]
    assert wrong == []


def test_references_to_other_modules_name_existing_tables(columns):
    targets = {
        column.info["module_ref"]: f"{kind.__name__}.{column.name}"
        for kind in mapped()
        for column in table_of(kind).columns
        if "module_ref" in column.info
    }
    assert {place for target, place in targets.items() if target not in columns} == set()


def test_the_house_is_where_we_think_it_is():
    assert (ROOT / "app" / "kernel" / "uow.py").exists()

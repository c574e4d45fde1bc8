"""A column that looks personal is declared by its module, or is explained here: a new one fails until somebody has thought."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

from app.kernel.catalogue import tenant_tables
from app.product import build_registry
from app.tenants.privacy.identifiers import Identifiers
from app.tenants.privacy.statements import Statements

PERSONAL = re.compile(
    r"(?:^|_)(?:names?|emails?|phones?|mobile|e164|address(?:es)?|postal_code|city|website|ip|user_agent|signature|"
    r"signed_by|author|body|subject|description|note|notes|comment|reason|text|answers|title|label|message|content|"
    r"report|result|resolution|instructions|facts|changes|data|payload|about|place|location|custom|tokens|reference|"
    r"birthday|photo|avatar|nickname|salutation|gender)$"
)
TYPES = frozenset({"text", "text[]", "jsonb", "json", "bytea", "xml", "date"})
COMPANY = "of the company itself and its settings; nobody outside of it"
GOODS = "goods, prices and papers that are the same for everybody"
STAFF = "of people who work for the company, who leave it by being deactivated"
COPIES = "copies of others' rows: app/tenants/privacy takes the person out of each of them"
EXPLAINED: dict[str, str] = {
    "catalog.*": GOODS,
    "tenants.*": COMPANY,
    "kernel.*": COPIES,
    "toys.*": "the tests' own",
    "after_sales.articles": GOODS,
    "after_sales.article_versions": GOODS,
    "after_sales.article_feedback": "of readers whom nobody knows: a hash stands for each of them",
    "after_sales.case_comments.author": "a word of a list: member or customer",
    "after_sales.case_skill_rules": COMPANY,
    "after_sales.sla_policies": COMPANY,
    "after_sales.surveys": COMPANY,
    "after_sales.telemetry_rules": GOODS,
    "after_sales.warranty_terms": GOODS,
    "automation.approval_delegations": STAFF,
    "contracts.instalments.label": "what part of a plan it is",
    "customers.pool_movements.actor_name": STAFF,
    "leads.assignment_rules": COMPANY,
    "leads.assignments.rule_name": COMPANY,
    "leads.consents.text": "the words of the form, the same for everybody; proof of what was agreed to",
    "leads.territories": COMPANY,
    "membership.coupons": GOODS,
    "membership.earnings.reference": "what a program calls an event; the book of points refers to it",
    "membership.tier_changes.reason": "a word of a list",
    "opportunities.competitors": "of companies that sell the same",
    "opportunities.forecast_submissions": STAFF,
    "opportunities.rivals.note": "of companies that sell the same",
    "opportunities.targets.subject": "a word of a list: member, team or company",
    "orders.stock_movements.reason": GOODS,
}
"""Why what looks personal is not declared: by schema, table or column."""


def explained(table: str, column: str) -> str | None:
    """The key under which a column is explained."""
    keys = (f"{table}.{column}", table, f"{table.partition('.')[0]}.*")
    return next((key for key in keys if key in EXPLAINED), None)


async def test_every_column_that_looks_personal_is_declared_or_explained(superuser):
    erased: dict[str, set[str]] = {}
    deleted = set()
    for holding in build_registry(()).personal_data:
        if holding.erase is None:
            deleted.add(holding.table)
        erased.setdefault(holding.table, set()).update(holding.erase or ())
    undeclared, used = [], set()
    for table in await tenant_tables(superuser):
        for column in table.columns:
            if column.type not in TYPES or not PERSONAL.search(column.name):
                continue
            if table.name in deleted or column.name in erased.get(table.name, ()):
                continue
            key = explained(table.name, column.name)
            used.add(key)
            if key is None:
                undeclared.append(f"{table.name}.{column.name}")
    assert undeclared == [], "declare them in the module's services/personal_data.py, or explain them here"
    assert set(EXPLAINED) - used == set(), "explained, and not there"


async def test_declarations_name_tables_and_columns_that_there_are(superuser):
    tables = {
        table.name: {column.name for column in table.columns} for table in await tenant_tables(superuser)
    }
    registry = build_registry(())
    for holding in registry.personal_data:
        assert {"id", *(holding.erase or ())} <= tables[holding.table], holding.key
        assert holding.erase is None or holding.erase == {} or holding.why, f"{holding.key}: why is it kept?"
    keys = [holding.key for holding in registry.personal_data]
    assert len(keys) == len(set(keys))
    for person in registry.people.values():
        table = registry.records[person.object].table
        assert {*person.names, *person.emails, *person.phones, *person.same} <= tables[table], person.object
        assert any(holding.table == table for holding in registry.personal_data), person.object


async def test_the_database_takes_every_declaration(superuser):
    registry = build_registry(())
    for holding in registry.personal_data:
        for build in (
            lambda made, one=holding: made.find(one),
            lambda made, one=holding: made.erase(one, one.erase or {"id": "t.id"}, [], "t.id"),
        ):
            made = Statements(registry, UUID(int=0), UUID(int=0), Identifiers(), datetime.now(UTC))
            sql = build(made)
            prepared = await superuser.prepare(sql)
            assert len(prepared.get_parameters()) == len(made.arguments), holding.key

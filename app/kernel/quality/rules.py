"""Rules of data quality: what each means in SQL, and how they are made and changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from app.kernel.conditions import Groups, all_fields, check_tree, groups_of
from app.kernel.errors import Invalid, InvalidFilter, require_version
from app.kernel.listing import Bindings, Condition, Field, FieldSet, Kind, compile_filter
from app.kernel.memory import Remembered
from app.kernel.quality.models import QualityRule, Severity
from app.kernel.quality.schemas import QualityRuleCreate, QualityRuleUpdate
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.kernel.records import RecordType

MOST_RULES = 100
_RANGED = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.MONEY, Kind.DATE, Kind.DATETIME})
_LISTS = frozenset({Kind.TEXT_LIST, Kind.UUID_LIST})


@dataclass(frozen=True)
class Rule:
    """A rule, ready to be compiled."""

    id: UUID
    object: str
    field: str
    name_en: str
    name_zh: str | None
    requirement: Mapping[str, Any]
    condition: Groups

    @property
    def fields(self) -> frozenset[str]:
        """Every field that the rule is about, its conditions included."""
        return frozenset({self.field, *(c.field for group in self.condition for c in group)})

    def name(self, language: str) -> str:
        """Its name in the company's language."""
        return self.name_zh if self.name_zh and language == "zh" else self.name_en


def rule_of(row: QualityRule) -> Rule:
    """A stored rule as rules are used."""
    return Rule(
        row.id,
        row.object,
        row.field,
        row.name_en,
        row.name_zh,
        row.requirement,
        groups_of(row.condition, "/condition"),
    )


async def _load_blocking(uow: UnitOfWork) -> Mapping[str, tuple[Rule, ...]]:
    statement = uow.select(QualityRule).where(QualityRule.severity == Severity.BLOCK.value)
    found: dict[str, tuple[Rule, ...]] = {}
    for row in await uow.all(statement.order_by(QualityRule.id)):
        found[row.object] = (*found.get(row.object, ()), rule_of(row))
    return found


_NO_RULES: Mapping[str, tuple[Rule, ...]] = {}
BLOCKING = Remembered("kernel.quality_rules", _load_blocking, _NO_RULES)
"""The rules that refuse writes, by record type."""


def broken_by(rule: Rule, fields: FieldSet, uow: UnitOfWork, bind: Bindings) -> str:
    """SQL over alias `t` that is true where a record breaks the rule. Raises `InvalidFilter`, `Invalid`."""
    field = fields.get(rule.field, "/field")
    bad = _bad(field, rule.requirement, fields, uow, bind)
    when = compile_filter(rule.condition, fields, uow.actor.tenant, uow.now, bind)
    return f"(({bad}){f' AND ({when})' if when else ''}) IS TRUE"


def _bad(field: Field, wanted: Mapping[str, Any], fields: FieldSet, uow: UnitOfWork, bind: Bindings) -> str:
    if wanted["kind"] == "required":
        if field.kind is Kind.TEXT:
            return f"coalesce(btrim({field.sql}), '') = ''"
        return (
            f"coalesce(cardinality({field.sql}), 0) = 0" if field.kind in _LISTS else f"{field.sql} IS NULL"
        )
    if wanted["kind"] == "format":
        if field.kind is not Kind.TEXT:
            raise Invalid.at("/requirement/kind", "unfit_check", f"{field.name} holds no text.")
        return f"{field.sql} !~ {bind(_whole(wanted['pattern']))}::text"
    if field.kind not in _RANGED:
        raise Invalid.at("/requirement/kind", "unfit_check", f"{field.name} holds no number, amount or time.")
    ends = [
        Condition(field.name, op, wanted[name], f"/requirement/{name}")
        for name, op in (("min", "lt"), ("max", "gt"))
        if wanted.get(name) is not None
    ]
    outside = compile_filter([[end] for end in ends], fields, uow.actor.tenant, uow.now, bind)
    return outside or "false"


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


def require_object(uow: UnitOfWork, name: str) -> RecordType[Any]:
    """A record type that rules may be about. Raises `Invalid`."""
    record = uow.kernel.registry.records.get(name)
    if record is None or not record.importable:
        raise Invalid.at("/object", "unknown_object", f"There are no rules for {name!r}.")
    return record


class QualityRules:
    """The tenant's rules, and changing them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self, object_name: str | None = None) -> list[QualityRule]:
        """All rules, by record type and age."""
        statement = self.uow.select(QualityRule)
        if object_name is not None:
            statement = statement.where(QualityRule.object == object_name)
        return await self.uow.all(statement.order_by(QualityRule.object, QualityRule.id))

    async def get(self, id: UUID) -> QualityRule:
        """Raises `NotFound`."""
        return await self.uow.get(QualityRule, id)

    async def create(self, body: QualityRuleCreate) -> QualityRule:
        """A new rule. Raises `Invalid`, `InvalidFilter` for what it cannot be about."""
        await self._make_room()
        values = body.model_dump(mode="json", by_alias=True)
        await self._check(values)
        self.uow.kernel.memory.forget(BLOCKING, self.uow.tenant_id)
        return await self.uow.insert(QualityRule, audit="data_quality_rule", **values)

    async def update(self, id: UUID, body: QualityRuleUpdate, *, expected_version: int) -> QualityRule:
        """Change a rule by merge patch. Raises also `NotFound`, `StaleVersion`."""
        row = await self._locked(id, expected_version)
        changes = body.model_dump(mode="json", by_alias=True, include=body.model_fields_set)
        for name, value in changes.items():
            if value is None and name not in ("name_zh", "condition"):
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        await self._check({**row.__dict__, **changes})
        self.uow.kernel.memory.forget(BLOCKING, self.uow.tenant_id)
        return await self.uow.update(row, audit="data_quality_rule", **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`."""
        row = await self._locked(id, expected_version)
        self.uow.kernel.memory.forget(BLOCKING, self.uow.tenant_id)
        await self.uow.delete(row, audit="data_quality_rule")

    async def _locked(self, id: UUID, expected_version: int) -> QualityRule:
        row = await self.uow.get(QualityRule, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    async def _make_room(self) -> None:
        count = await self.uow.fetchrow(
            "SELECT count(*) FROM kernel.quality_rules WHERE tenant_id = $1", self.uow.tenant_id
        )
        if count and count[0] >= MOST_RULES:
            raise Invalid.at("/object", "too_many_rules", f"A company has at most {MOST_RULES} rules.")

    async def _check(self, values: Mapping[str, Any]) -> None:
        """That the rule compiles: its field, its check and its conditions."""
        record = require_object(self.uow, values["object"])
        if values["field"] == "custom":
            raise Invalid.at("/field", "unknown_field", "Name the custom field: `custom.<key>`.")
        condition = groups_of(values["condition"], "/condition")
        rule = Rule(UUID(int=0), record.object, values["field"], "", None, values["requirement"], condition)
        try:
            await check_tree(self.uow, record, condition)
            broken_by(rule, await all_fields(self.uow, record), self.uow, Bindings())
        except InvalidFilter as problem:
            raise Invalid(problem.detail, errors=problem.errors) from None
        if values["requirement"]["kind"] == "format":
            await self._check_pattern(values["requirement"]["pattern"])

    async def _check_pattern(self, pattern: str) -> None:
        """An expression that both engines know: RE2 keeps out those whose time explodes, PostgreSQL runs it."""
        import re2  # type: ignore[import-untyped]

        unknown = Invalid.at(
            "/requirement/pattern", "invalid_pattern", "That is no regular expression known here."
        )
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(_whole(pattern), options)
        except re2.error:
            raise unknown from None
        try:
            async with self.uow.savepoint():
                await self.uow.fetchrow("SELECT '' ~ $1::text", _whole(pattern))
        except asyncpg.PostgresError:
            raise unknown from None


def compile_rules(
    rules: Sequence[Rule], fields: FieldSet, uow: UnitOfWork, bind: Bindings
) -> list[tuple[Rule, str]]:
    """Each rule with its SQL; one whose fields are gone, or hidden where `fields` are the actor's, is left out."""
    found: list[tuple[Rule, str]] = []
    for rule in rules:
        kept = len(bind.values)
        try:
            found.append((rule, broken_by(rule, fields, uow, bind)))
        except (InvalidFilter, Invalid):
            del bind.values[kept:]
    return found

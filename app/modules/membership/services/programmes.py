"""Programmes and their tiers: reading them, and keeping them right."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.listing import Ask
from app.kernel.memory import Remembered
from app.kernel.money import InvalidMoney, Money, format_minor, parse_major
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.catalog.interface import Catalog
from app.modules.membership.interface import ProgrammeInUse, TierInUse
from app.modules.membership.models.programmes import EarnBasis, Programme, QualifyBy, Tier, TierPeriod
from app.modules.membership.schemas.programmes import (
    BurnRule,
    BurnRuleRead,
    EarnRule,
    EarnRuleRead,
    ProgrammeCreate,
    ProgrammeRead,
    ProgrammeUpdate,
    TierInput,
    TierRead,
)

_AUDIT = "loyalty_programme"
_COUNTED_BY_AMOUNT = QualifyBy.AMOUNT.value


@dataclass(frozen=True, slots=True)
class ProgrammeRules:
    """A programme with its tiers, the lowest first, and its rules to earn."""

    row: Programme
    tiers: tuple[Tier, ...]
    rules: tuple[EarnRule, ...]

    def tier(self, key: str | None) -> Tier | None:
        return next((tier for tier in self.tiers if tier.key == key), None)


async def _read_all(uow: UnitOfWork) -> tuple[ProgrammeRules, ...]:
    rows = await uow.all(uow.select(Programme).order_by(Programme.key))
    tiers = await uow.all(uow.select(Tier).order_by(Tier.position))
    return tuple(
        ProgrammeRules(
            row,
            tuple(tier for tier in tiers if tier.programme_id == row.id),
            tuple(EarnRule.model_validate(rule) for rule in row.earn_rules),
        )
        for row in rows
    )


# A change of tiers makes a version of their programme.
_PROGRAMMES: Final[Remembered[tuple[ProgrammeRules, ...]]] = Remembered(
    "membership.programmes", _read_all, empty=()
)

_MAY_BE_NULL: Final = frozenset(
    {
        "name_zh", "points_name_zh", "expiry_months", "cap_order", "cap_day", "cap_member",
        "adjustment_limit",
    }
)  # fmt: skip


class ProgrammeService:
    """Programmes of the tenant; whoever may read members may read them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self) -> Sequence[ProgrammeRules]:
        """All as they stand, by key. One statement, and two more once after a change."""
        [[found], _] = await self._uow.kernel.memory.exactly(self._uow, [_PROGRAMMES])
        return cast("Sequence[ProgrammeRules]", found)

    async def all_beside(self, ask: Ask) -> tuple[Sequence[ProgrammeRules], Any]:
        """As `all`, with the value that is asked for, in the same statement."""
        [found], [value] = await self._uow.kernel.memory.exactly(self._uow, [_PROGRAMMES], [ask])
        return cast("Sequence[ProgrammeRules]", found), value

    async def get_many(self, ids: Collection[UUID]) -> dict[UUID, ProgrammeRules]:
        """Programmes by id; unknown ids are absent. Statements as `all`."""
        return {one.row.id: one for one in await self.all() if one.row.id in ids} if ids else {}

    async def get(self, id: UUID) -> ProgrammeRules:
        """Raises `NotFound`."""
        found = await self.get_many([id])
        if id not in found:
            raise NotFound
        return found[id]

    async def create(self, body: ProgrammeCreate) -> ProgrammeRules:
        """Raises `Invalid`; `DuplicateValue` for a key that is taken."""
        await self._check(body.earn_rules, body.tiers, body.currency)
        values = body.model_dump(exclude={"burn", "tiers", "earn_rules"})
        values |= _burn_columns(body.burn, body.currency) | {"earn_rules": _stored(body.earn_rules)}
        made = await self._uow.insert(Programme, audit=_AUDIT, **values)
        await self._write_tiers(made, body.tiers)
        return await self.get(made.id)

    async def update(self, id: UUID, body: ProgrammeUpdate, *, expected_version: int) -> ProgrammeRules:
        """Raises `NotFound`, `StaleVersion`, `Invalid`, `TierInUse` for a tier left out that members have."""
        row = await self._uow.get(Programme, id, lock="update")
        require_version(row.version, expected=expected_version)
        refuse_nulls({name: getattr(body, name) for name in body.model_fields_set}, _MAY_BE_NULL)
        changes: dict[str, Any] = body.model_dump(
            include=body.model_fields_set - {"burn", "tiers", "earn_rules"}, exclude_unset=True
        )
        await self._check(body.earn_rules or (), body.tiers or (), row.currency)
        if body.burn is not None:
            changes |= _burn_columns(body.burn, row.currency)
        if body.earn_rules is not None:
            changes["earn_rules"] = _stored(body.earn_rules)
        after = await self._uow.update(row, audit=_AUDIT, **changes)
        if body.tiers is not None:
            await self._replace_tiers(after, body.tiers, bump=after is row)
        return await self.get(id)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`, `ProgrammeInUse`."""
        row = await self._uow.get(Programme, id, lock="update")
        require_version(row.version, expected=expected_version)
        used = await self._uow.fetchrow(
            "SELECT 1 FROM membership.loyalty_members WHERE tenant_id = $1 AND programme_id = $2 LIMIT 1",
            self._uow.tenant_id,
            id,
        )
        if used is not None:
            raise ProgrammeInUse
        await self._uow.delete(row, audit=_AUDIT)

    async def _replace_tiers(self, row: Programme, tiers: Sequence[TierInput], *, bump: bool) -> None:
        kept = [tier.key for tier in tiers]
        used = await self._uow.fetch(
            "SELECT DISTINCT tier FROM membership.loyalty_members WHERE tenant_id = $1 AND programme_id = $2"
            " AND tier IS NOT NULL AND tier <> ALL($3::text[]) AND deleted_at IS NULL LIMIT 20",
            self._uow.tenant_id,
            row.id,
            kept,
        )
        if used:
            keys = sorted(one["tier"] for one in used)
            raise TierInUse(f"Members have: {', '.join(keys)}.", tiers=keys)
        former = await self._uow.fetch(
            "WITH gone AS (DELETE FROM membership.tiers WHERE tenant_id = $1 AND programme_id = $2"
            " RETURNING key, position) SELECT key FROM gone ORDER BY position",
            self._uow.tenant_id,
            row.id,
        )
        await self._write_tiers(row, tiers)
        if bump:
            await self._uow.fetch(
                "UPDATE membership.programmes SET version = version + 1, updated_at = $3"
                " WHERE tenant_id = $1 AND id = $2",
                self._uow.tenant_id,
                row.id,
                self._uow.now,
            )
        self._uow.record_audit(
            _AUDIT, row.id, "tiers_replaced", {"tiers": [[one["key"] for one in former], kept]}
        )

    async def _write_tiers(self, row: Programme, tiers: Sequence[TierInput]) -> None:
        for position, tier in enumerate(tiers):
            values = tier.model_dump(exclude={"threshold", "multiplier"})
            values |= {"programme_id": row.id, "position": position, "multiplier": Decimal(tier.multiplier)}
            await self._uow.insert(Tier, **values, threshold=_threshold(tier, row.currency, position))

    async def _check(self, rules: Sequence[EarnRule], tiers: Sequence[TierInput], currency: str) -> None:
        _require_distinct([rule.key for rule in rules], "/earn_rules")
        _require_distinct([tier.key for tier in tiers], "/tiers")
        for position, tier in enumerate(tiers):
            _threshold(tier, currency, position)
        products = {id for rule in rules for id in rule.product_ids}
        categories = {id for rule in rules for id in rule.category_ids}
        catalog = self._uow.of(Catalog)
        known = {*await catalog.get_many(products), *await catalog.category_names(categories)}
        for place, rule in enumerate(rules):
            for name, ids in (("product_ids", rule.product_ids), ("category_ids", rule.category_ids)):
                if not known.issuperset(ids):
                    raise Invalid.at(
                        f"/earn_rules/{place}/{name}", "unknown_reference", "One of them is not there."
                    )


def _require_distinct(keys: Sequence[str], pointer: str) -> None:
    if len(set(keys)) != len(keys):
        raise Invalid.at(pointer, "repeated", "A key is used twice.")


def _threshold(tier: TierInput, currency: str, position: int) -> int:
    """In minor units, or as a count. Raises `Invalid`."""
    try:
        if tier.qualify_by is QualifyBy.AMOUNT:
            return parse_major(tier.threshold, currency)
        return int(tier.threshold)
    except (InvalidMoney, ValueError):
        raise Invalid.at(
            f"/tiers/{position}/threshold", "not_whole", "A whole number, or an amount of the currency."
        ) from None


def _burn_columns(burn: BurnRule, currency: str) -> dict[str, int]:
    if burn.worth.currency != currency:
        raise Invalid.at("/burn/worth/currency", "other_currency", f"The programme is in {currency}.")
    if burn.worth.amount_minor <= 0:
        raise Invalid.at("/burn/worth/amount", "not_positive", "Points are worth more than nothing.")
    return {
        "burn_points": burn.points,
        "burn_amount": burn.worth.amount_minor,
        "burn_minimum": burn.minimum,
        "burn_step": burn.step,
    }


def _stored(rules: Sequence[EarnRule]) -> list[dict[str, Any]]:
    return [rule.model_dump(mode="json") for rule in rules]


def worth_of(row: Programme, points: int) -> int:
    """What points are worth in minor units, rounded down."""
    return points * row.burn_amount // row.burn_points


def minor_of(major: str, currency: str) -> int:
    """An amount of a rule in minor units."""
    return Money.rounded(Decimal(major), currency).amount_minor


def read(programme: ProgrammeRules) -> ProgrammeRead:
    """The wire form."""
    row = programme.row
    plain = {
        name: getattr(row, name)
        for name in ProgrammeRead.model_fields
        if name not in ("burn", "earn_rules", "tiers", "earn_basis")
    }
    return ProgrammeRead(
        **plain,
        earn_basis=EarnBasis(row.earn_basis),
        burn=BurnRuleRead(
            points=row.burn_points,
            worth=Money(row.burn_amount, row.currency),
            minimum=row.burn_minimum,
            step=row.burn_step,
        ),
        earn_rules=[EarnRuleRead(**rule.model_dump()) for rule in programme.rules],
        tiers=[_read_tier(tier, row.currency) for tier in programme.tiers],
    )


def _read_tier(tier: Tier, currency: str) -> TierRead:
    counted = tier.qualify_by != _COUNTED_BY_AMOUNT
    threshold = (
        str(tier.threshold) if counted else decimal_text(Decimal(format_minor(tier.threshold, currency)))
    )
    return TierRead(
        key=tier.key,
        name_en=tier.name_en,
        name_zh=tier.name_zh,
        qualify_by=QualifyBy(tier.qualify_by),
        threshold=threshold,
        period=TierPeriod(tier.period),
        period_months=tier.period_months,
        grace_days=tier.grace_days,
        multiplier=tier.multiplier,
        benefits=tier.benefits,
    )

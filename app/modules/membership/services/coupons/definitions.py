"""Coupons as records: written as drafts, then active, paused and ended. What one gives is fixed once it is active."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import FieldError, Invalid, require_version
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.states import StateMachine
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.membership.interface import CouponFixed, CouponInUse
from app.modules.membership.models.coupons import (
    BenefitKind,
    Coupon,
    CouponCode,
    CouponDistribution,
    CouponStatus,
)
from app.modules.membership.schemas.coupons import CouponCreate, CouponDefinition, CouponUpdate
from app.modules.membership.services.programmes import ProgrammeService

DRAFT, ACTIVE, PAUSED, ENDED = CouponStatus
STATES: Final[StateMachine[CouponStatus]] = StateMachine(
    "The coupon",
    DRAFT,
    {
        (DRAFT, "activate"): ACTIVE,
        (ACTIVE, "pause"): PAUSED,
        (PAUSED, "activate"): ACTIVE,
        (ACTIVE, "end"): ENDED,
        (PAUSED, "end"): ENDED,
    },
)
FREE: Final = frozenset(
    {
        "name", "name_zh", "valid_until", "customer_limit", "total_limit", "budget", "priority", "on_return",
        "owner_id", "team_id", "tags", "custom", "external_id",
    }
)  # fmt: skip
"""What may change while customers have it."""
_BENEFITS: Final[Mapping[str, tuple[str, ...]]] = {
    BenefitKind.PERCENT: ("percent",),
    BenefitKind.AMOUNT: ("amount",),
    BenefitKind.FIXED_PRICE: ("amount",),
    BenefitKind.FREE_PRODUCT: ("free_quantity",),
}
_MONEY: Final = ("amount", "maximum_discount", "minimum_spend", "budget")
_ALL: Final = {"owner": Scope.ALL, "admin": Scope.ALL}
_KEEP: Final = _ALL | {"manager": Scope.ALL}
_READ: Final = _KEEP | {"salesperson": Scope.ALL, "viewer": Scope.ALL}


class CouponService(RecordService[Coupon]):
    """Coupons, and the steps of their life."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._currency = self.actor.tenant.currency

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(given)
        for name in _MONEY:
            value = values.get(name)
            if value is not None and not isinstance(value, int):
                if value.currency != values.get("currency", self._currency):
                    raise Invalid.at(
                        f"/{name}/currency", "other_currency", "All amounts are in the coupon's currency."
                    )
                values[name] = value.amount_minor
        if isinstance(values.get("percent"), str):
            values["percent"] = Decimal(values["percent"])
        return super()._columns(values)

    async def create(self, given: Mapping[str, Any], **more: Any) -> Coupon:
        values = dict(given)
        of_amounts = next((values[name].currency for name in _MONEY if values.get(name) is not None), None)
        values["currency"] = values.get("currency") or of_amounts or self.actor.tenant.currency
        return await super().create(values, **more)

    async def before_create(self, values: dict[str, Any]) -> None:
        values |= {"status": DRAFT.value, "codes": 0, "uses": 0, "spent": 0, "used_at": self.uow.now}
        if values["benefit"] == BenefitKind.FREE_PRODUCT and values["free_quantity"] is None:
            values["free_quantity"] = 1
        if values["distribution"] == CouponDistribution.SHARED:
            values["codes"] = 1
        await self._check(values, values.keys())

    async def after_create(self, row: Coupon) -> None:
        if row.code is not None:
            await self._write_code(row.id, row.code)

    async def _write_code(self, coupon_id: UUID, code: str) -> None:
        """Raises `DuplicateValue`, with the next statement, for one that any coupon of the company has."""
        await self.uow.insert_many_last(
            CouponCode,
            [
                {
                    "coupon_id": coupon_id,
                    "batch_id": None,
                    "member_id": None,
                    "code": code,
                    "reference": None,
                    "valid_until": None,
                    "use_limit": None,
                    "uses": 0,
                }
            ],
        )

    async def change(self, row: Coupon, given: Mapping[str, Any], *, action: str = "updated") -> Coupon:
        """As every record. Raises `CouponFixed` for what it gives once it is not a draft any more."""
        if row.status != DRAFT and given.keys() - FREE:
            raise CouponFixed(f"It is {row.status}.", state=row.status, fields=sorted(given.keys() - FREE))
        self._currency = given.get("currency") or row.currency
        if self._currency != row.currency:
            for name in _MONEY:
                if getattr(row, name) is not None and name not in given:
                    raise Invalid.at(f"/{name}", "required", "In another currency it is given again.")
        return await super().change(row, given, action=action)

    async def before_update(self, row: Coupon, changes: dict[str, Any]) -> None:
        await self._check({**row.__dict__, **changes}, changes.keys())
        if "distribution" in changes and changes["distribution"] != row.distribution:
            raise CouponFixed(
                "How its codes are given out does not change.", state=row.status, fields=["distribution"]
            )
        for limit, used in (("total_limit", row.uses), ("budget", row.spent)):
            if changes.get(limit) is not None and changes[limit] < used:
                raise Invalid.at(f"/{limit}", "less_than_used", "So much of it is used already.")

    async def after_update(self, before: Coupon, after: Coupon) -> None:
        if after.code is not None and after.code != before.code:
            await self.uow.fetch(
                "DELETE FROM membership.coupon_codes WHERE tenant_id = $1 AND coupon_id = $2",
                after.tenant_id,
                after.id,
            )
            await self._write_code(after.id, after.code)

    async def before_delete(self, row: Coupon) -> None:
        """Only drafts go, with their codes. Raises `CouponInUse`."""
        if row.status != DRAFT:
            raise CouponInUse(f"It is {row.status}: end it.", state=row.status)
        await self.uow.fetch(
            "DELETE FROM membership.coupon_codes WHERE tenant_id = $1 AND coupon_id = $2",
            row.tenant_id,
            row.id,
        )

    async def step(self, id: UUID, name: str, *, expected_version: int) -> Coupon:
        """Activate, pause or end. Raises `NotFound`, `StaleVersion`, `InvalidTransition`."""
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        status = STATES.next(CouponStatus(row.status), name)
        return await self.write(row, {"status": status.value}, action=name)

    async def _check(self, values: Mapping[str, Any], changed: Any) -> None:
        errors = [*_benefit_faults(values), *_code_faults(values)]
        if values["valid_from"] and values["valid_until"] and values["valid_until"] < values["valid_from"]:
            errors.append(FieldError("/valid_until", "before_start", "It ends before it begins."))
        if values["tiers"] and values["programme_id"] is None:
            errors.append(FieldError("/programme_id", "required", "Tiers are those of a programme."))
        errors += [
            FieldError(f"/{name}", "negative", "Not less than nothing.")
            for name in ("minimum_spend", "amount")
            if values[name] is not None and values[name] < 0
        ]
        errors += [
            FieldError(f"/{name}", "not_positive", "More than nothing.")
            for name in ("maximum_discount", "budget")
            if values[name] is not None and values[name] <= 0
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        await self._check_references(values, changed)

    async def _check_references(self, values: Mapping[str, Any], changed: Any) -> None:
        catalog = self.uow.of(Catalog)
        products, categories = set(values["product_ids"]), set(values["category_ids"])
        if (
            "product_ids" in changed
            and products
            and not products <= (await catalog.get_many(products)).keys()
        ):
            raise Invalid.at("/product_ids", "unknown_reference", "One of them is not there.")
        unknown = set()
        if "category_ids" in changed and categories:
            unknown = categories - (await catalog.category_names(categories)).keys()
        if unknown:
            raise Invalid.at("/category_ids", "unknown_reference", "One of them is not there.")
        if values["programme_id"] is None or not {"programme_id", "tiers"} & set(changed):
            return
        found = (await ProgrammeService(self.uow).get_many([values["programme_id"]])).get(
            values["programme_id"]
        )
        if found is None:
            raise Invalid.at("/programme_id", "unknown_reference", "There is no such programme.")
        if not {tier.key for tier in found.tiers} >= set(values["tiers"]):
            raise Invalid.at("/tiers", "unknown_reference", "One of them is not there.")


def _benefit_faults(values: Mapping[str, Any]) -> list[FieldError]:
    kind = values["benefit"]
    wanted = _BENEFITS[kind]
    faults = [
        FieldError(f"/{name}", "required", f"A coupon of kind {kind} has this.")
        for name in wanted
        if values[name] is None
    ]
    faults += [
        FieldError(f"/{name}", "not_of_this_kind", f"A coupon of kind {kind} has none.")
        for name in ("percent", "amount", "free_quantity")
        if name not in wanted and values[name] is not None
    ]
    if kind == BenefitKind.PERCENT and values["percent"] == 0:
        faults.append(FieldError("/percent", "not_positive", "More than nothing."))
    if kind == BenefitKind.AMOUNT and values["amount"] == 0:
        faults.append(FieldError("/amount", "not_positive", "More than nothing."))
    if kind == BenefitKind.FREE_PRODUCT and not values["product_ids"]:
        faults.append(FieldError("/product_ids", "required", "Say which product is free."))
    return faults


def _code_faults(values: Mapping[str, Any]) -> list[FieldError]:
    shared = values["distribution"] == CouponDistribution.SHARED
    if shared and values["code"] is None:
        return [FieldError("/code", "required", "A shared coupon has a code.")]
    if not shared and values["code"] is not None:
        return [FieldError("/code", "not_of_this_kind", "Its codes are made for it.")]
    return []


COUPON: RecordType[Coupon] = RecordType(
    object="coupon",
    plural="coupons",
    module="membership",
    model=Coupon,
    read=CouponDefinition,
    create=CouponCreate,
    update=CouponUpdate,
    service=CouponService,
    search=Search(names=("name", "name_zh", "code")),
    importable=False,
    moves_etag="used_at",
    default_scopes={
        "read": _READ,
        **dict.fromkeys(("create", "update", "delete", "assign", "share", "export"), _KEEP),
    },
    labels={
        "name": ("coupon", "优惠券", "优惠券名称"),
        "status": ("状态",),
        "code": ("coupon code", "券码", "优惠码"),
        "percent": ("discount percent", "折扣"),
        "amount": ("优惠金额",),
        "minimum_spend": ("minimum spend", "最低消费"),
        "valid_from": ("valid from", "生效日期"),
        "valid_until": ("valid until", "有效期至"),
        "total_limit": ("total limit", "发放上限"),
        "budget": ("预算",),
        "uses": ("使用次数",),
        "spent": ("已用预算",),
    },
)
CouponService.record = COUPON

"""Members: accounts and contacts that joined a programme, each with a card whose number checks itself."""

from __future__ import annotations

import io
import secrets
from collections.abc import Collection, Mapping
from datetime import date
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from stdnum import luhn

from app.kernel.errors import Invalid
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import ContactRef, Customers
from app.modules.membership.interface import MemberEnrolled, MemberNotActive, PointsLeft, ProgrammeClosed
from app.modules.membership.models.programmes import LoyaltyMember, MemberStatus
from app.modules.membership.schemas.members import (
    LoyaltyMemberCreate,
    LoyaltyMemberRead,
    LoyaltyMemberUpdate,
)
from app.modules.membership.services.bringing_in import BringingIn
from app.modules.membership.services.member_imports import MemberImport
from app.modules.membership.services.programmes import ProgrammeRules, ProgrammeService

_DIGITS = 15
_FILLED_IN = frozenset({"number", "since", "programme_id"})


class LoyaltyMemberService(MemberImport, RecordService[LoyaltyMember]):
    """Members of programmes; balances, tiers and groups are never written by hand."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._programmes: dict[UUID, ProgrammeRules] = {}
        self._referral_code: str | None = None
        self._accounts: set[UUID] = set()
        self._contacts: dict[UUID, ContactRef] = {}
        self._opening = {}

    async def create(
        self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None
    ) -> LoyaltyMember:
        """As every record; with a code of another member's, who brought them in. Raises also `ProgrammeClosed`."""
        values = dict(given)
        self._referral_code = values.pop("referral_code", None)
        names = None if explicit is None else set(explicit) - {"referral_code"}
        return await super().create(values, explicit=names)

    async def change(
        self, row: LoyaltyMember, given: Mapping[str, Any], *, action: str = "updated"
    ) -> LoyaltyMember:
        """As every record. Who brought them in is said when they join, and stays."""
        values = {name: value for name, value in given.items() if name != "referral_code"}
        return await super().change(row, values, action=action)

    async def programme(self, id: UUID) -> ProgrammeRules | None:
        """A programme, read once."""
        if id not in self._programmes:
            self._programmes |= await ProgrammeService(self.uow).get_many([id])
        return self._programmes.get(id)

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; the number and the first day may be left to us."""
        return super()._columns({n: v for n, v in given.items() if v is not None or n not in _FILLED_IN})

    async def before_create(self, values: dict[str, Any]) -> None:
        await self._look(values.get("account_id"))
        programme = await self._joined(values)
        await self.learn([values])
        self._check_holder(values)
        if not programme.row.active:
            raise ProgrammeClosed
        today = self.actor.tenant.day_of(self.uow.now)
        since = values.get("since") or today
        if since > today:
            raise Invalid.at("/since", "in_future", "Nobody is a member from a day to come.")
        _require_past(values.get("birthday"), today)
        values |= {
            "number": _number(values.get("number")),
            "since": since,
            "points": 0,
            "points_pending": 0,
            "points_reserved": 0,
            "points_debt": 0,
            "points_qualifying": 0,
            "points_at": self.uow.now,
        }

    async def _look(self, account_id: UUID | None) -> None:
        """Read the programmes and find the account that joins, held, in one statement, unless they are known.

        Raises `Forbidden` for who may not read accounts.
        """
        if account_id is None or account_id in self._accounts or self._programmes:
            return
        holds = partial(self.uow.of(Customers).holds_account, account_id)
        found, held = await ProgrammeService(self.uow).all_beside(holds)
        self._programmes = {one.row.id: one for one in found}
        if held:
            self._accounts.add(account_id)

    async def _joined(self, values: dict[str, Any]) -> ProgrammeRules:
        """The programme that is named, or the only one that is active. Raises `Invalid`."""
        if values.get("programme_id") is None:
            active = [one for one in await ProgrammeService(self.uow).all() if one.row.active]
            if len(active) != 1:
                raise Invalid.at("/programme_id", "required", "Say which of the programmes.")
            values["programme_id"] = active[0].row.id
            self._programmes[active[0].row.id] = active[0]
        programme = await self.programme(values["programme_id"])
        if programme is None:
            raise Invalid.at("/programme_id", "unknown_reference", "There is no such programme.")
        return programme

    async def learn(self, many: Collection[dict[str, Any]]) -> None:
        """Look up whom all of these name, held; at most one statement each for accounts and contacts."""
        customers = self.uow.of(Customers)
        accounts = {values["account_id"] for values in many if values.get("account_id")} - self._accounts
        if accounts:
            self._accounts |= (await customers.get_many(accounts, hold=True)).keys()
        contacts = {
            values["contact_id"] for values in many if values.get("contact_id")
        } - self._contacts.keys()
        if contacts:
            self._contacts |= await customers.get_contacts(contacts, hold=True)

    def _check_holder(self, values: dict[str, Any]) -> None:
        account_id, contact_id = values.get("account_id"), values.get("contact_id")
        if (account_id is None) == (contact_id is None):
            raise Invalid.at("/account_id", "required", "A member is either an account or a contact.")
        if account_id is not None and account_id not in self._accounts:
            raise Invalid.at("/account_id", "unknown_reference", "There is no such account.")
        if contact_id is not None:
            contact = self._contacts.get(contact_id)
            if contact is None:
                raise Invalid.at("/contact_id", "unknown_reference", "There is no such contact.")
            values["time_zone"] = values.get("time_zone") or contact.time_zone

    async def after_create(self, row: LoyaltyMember) -> None:
        self.uow.publish(
            MemberEnrolled(
                id=row.id,
                programme_id=row.programme_id,
                account_id=row.account_id,
                contact_id=row.contact_id,
                number=row.number,
            )
        )

        if self._referral_code is not None:
            await BringingIn(self.uow).joined(row, self._referral_code)

    async def before_update(self, row: LoyaltyMember, changes: dict[str, Any]) -> None:
        """Raises `MemberNotActive` for one that gave way to another."""
        if row.status == MemberStatus.SUPERSEDED and "status" in changes:
            raise MemberNotActive(state=row.status)
        _require_past(changes.get("birthday"), self.actor.tenant.day_of(self.uow.now))

    async def before_delete(self, row: LoyaltyMember) -> None:
        """Only who never moved a point or any money goes: ledgers are kept for good. Raises `PointsLeft`."""
        moved = await self.uow.fetchrow(
            "SELECT 1 FROM membership.ledger_entries WHERE tenant_id = $1 AND member_id = $2"
            " UNION ALL SELECT 1 FROM membership.wallets WHERE tenant_id = $1 AND member_id = $2 LIMIT 1",
            self.uow.tenant_id,
            row.id,
        )
        if moved is not None:
            raise PointsLeft

    async def usable(self, id: UUID, action: str) -> tuple[LoyaltyMember, ProgrammeRules]:
        """A member whose points may be moved, held, and the programme.

        Raises: NotFound; Forbidden; MemberNotActive; ProgrammeClosed.
        """
        row = await self.get(id, action=action, lock="update")
        if row.status != MemberStatus.ACTIVE:
            raise MemberNotActive(f"It is {row.status}.", state=row.status)
        programme = await self.programme(row.programme_id)
        if programme is None or not programme.row.active:
            raise ProgrammeClosed
        return row, programme


def _require_past(birthday: date | None, today: date) -> None:
    if birthday is not None and not today.replace(year=today.year - 130, day=1) <= birthday <= today:
        raise Invalid.at("/birthday", "no_birthday", "Nobody living was born on that day.")


def _number(given: str | None) -> str:
    """A card number whose last digit checks the others (ISO/IEC 7812-1, Luhn). Raises `Invalid`."""
    if given is None:
        body = str(secrets.randbelow(9 * 10 ** (_DIGITS - 1)) + 10 ** (_DIGITS - 1))
        return body + luhn.calc_check_digit(body)
    if not luhn.is_valid(given):
        raise Invalid.at("/number", "check_digit", "The last digit does not fit the others.")
    return given


def qr_code(number: str) -> bytes:
    """The card's number as a QR code (ISO/IEC 18004), an SVG picture."""
    import segno

    picture = io.BytesIO()
    segno.make(number, error="m", micro=False).save(picture, kind="svg", scale=4, border=4)
    return picture.getvalue()


LOYALTY_MEMBER: RecordType[LoyaltyMember] = RecordType(
    object="loyalty_member",
    plural="loyalty_members",
    module="membership",
    model=LoyaltyMember,
    read=LoyaltyMemberRead,
    create=LoyaltyMemberCreate,
    update=LoyaltyMemberUpdate,
    service=LoyaltyMemberService,
    title="number",
    search=Search(names=("number",)),
    upsert_keys=("external_id", "number"),
    moves_etag="points_at",
    labels={
        "number": ("card number", "会员卡号", "卡号"),
        "birthday": ("birthday", "生日"),
        "time_zone": ("time zone", "时区"),
        "status": ("状态", "会员状态"),
        "since": ("member since", "入会日期"),
        "tier": ("会员等级", "等级"),
        "points": ("可用积分", "积分"),
        "points_pending": ("待生效积分",),
        "rfm_class": ("客户分群",),
        "value_class": ("价值等级",),
    },
)
LoyaltyMemberService.record = LOYALTY_MEMBER

"""Codes that nobody can guess: one for a member, or a batch of many, which a job makes some thousands at a time."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import AsyncGenerator, Mapping
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.access import Actor
from app.kernel.errors import Invalid
from app.kernel.ids import new_id
from app.kernel.jobs import JobContext
from app.kernel.registry import JobKind
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.modules.membership.interface import CouponIssued, CouponNotIssuable, MemberNotActive
from app.modules.membership.models.coupons import (
    Coupon,
    CouponBatch,
    CouponCode,
    CouponDistribution,
    CouponStatus,
)
from app.modules.membership.models.programmes import LoyaltyMember, MemberStatus
from app.modules.membership.schemas.coupons import BatchInput, IssueInput
from app.modules.membership.services.coupons.definitions import CouponService
from app.modules.membership.services.members import LoyaltyMemberService

JOB: Final = "membership.coupon_codes"
ISSUE: Final = "issue"
CHUNK: Final = 5_000
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that looks like something else
_LENGTH: Final = 12  # 60 bits of chance


class BatchOrder(BaseModel):
    """A batch to be made."""

    batch_id: UUID


class Coupons:
    """Gives out codes of coupons."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def issue(self, id: UUID, body: IssueInput) -> CouponCode:
        """As somebody asks for. Raises `NotFound`, `Invalid`, `MemberNotActive`, `CouponNotIssuable`."""
        coupon = await CouponService(self._uow).get(id, action=ISSUE, lock="update")
        members = await LoyaltyMemberService(self._uow).get_many([body.member_id])
        if body.member_id not in members:
            raise Invalid.at("/member_id", "unknown_reference", "There is no such member.")
        if body.valid_until is not None and body.valid_until < self._today:
            raise Invalid.at("/valid_until", "in_past", "It would be over.")
        return await self.issue_personal(
            members[body.member_id], coupon, reference=body.reference, valid_until=body.valid_until
        )

    @property
    def _today(self) -> date:
        return self._uow.actor.tenant.day_of(self._uow.now)

    async def issue_personal(
        self,
        member: LoyaltyMember,
        coupon: Coupon,
        *,
        reference: str | None = None,
        valid_until: date | None = None,
    ) -> CouponCode:
        """A code of a member's own; with a `reference` there is only ever one for it, which is answered again.

        Raises: CouponNotIssuable for a coupon that is not active, or not given out to single members;
        MemberNotActive.
        """
        if member.status != MemberStatus.ACTIVE:
            raise MemberNotActive(f"It is {member.status}.", state=member.status)
        issued = await self.issue_to_many(coupon, {member.id: reference}, valid_until=valid_until)
        return issued[member.id]

    async def issue_to_many(
        self, coupon: Coupon, references: Mapping[UUID, str | None], *, valid_until: date | None = None
    ) -> dict[UUID, CouponCode]:
        """As `issue_personal` for many members, each with a reference or None. Three statements.

        Raises: CouponNotIssuable.
        """
        if coupon.distribution != CouponDistribution.PERSONAL or coupon.status != CouponStatus.ACTIVE:
            raise CouponNotIssuable(
                f"It is {coupon.status}, its codes are {coupon.distribution}.",
                state=coupon.status,
                distribution=coupon.distribution,
            )
        if valid_until is None and coupon.valid_days is not None:
            valid_until = self._today + timedelta(days=coupon.valid_days)
        uow, members = self._uow, sorted(references)
        made = await uow.fetch(
            _ISSUE,
            uow.tenant_id,
            coupon.id,
            [new_id() for _ in members],
            members,
            [secret_code() for _ in members],
            [references[id] for id in members],
            valid_until,
            uow.now,
        )
        await self._more(coupon.id, len(made))
        for row in made:
            uow.publish(
                CouponIssued(
                    id=coupon.id, member_id=row["member_id"], code_id=row["id"], reference=row["reference"]
                )
            )
            uow.record_audit("coupon", coupon.id, "issued", {"member_id": [None, row["member_id"]]})
        new = {row["id"] for row in made}
        rows = await uow.fetch(
            _ISSUED, uow.tenant_id, coupon.id, members, [references[id] for id in members], list(new)
        )
        return {row["member_id"]: CouponCode(**dict(row)) for row in rows}

    async def _more(self, coupon_id: UUID, count: int) -> None:
        if count:
            await self._uow.fetch(
                "UPDATE membership.coupons SET codes = codes + $3, used_at = $4 WHERE tenant_id = $1 AND id = $2",
                self._uow.tenant_id,
                coupon_id,
                count,
                self._uow.now,
            )

    async def order_batch(self, id: UUID, body: BatchInput) -> CouponBatch:
        """A batch that a job makes. Raises `NotFound`, `CouponNotIssuable`."""
        coupon = await CouponService(self._uow).get(id, action=ISSUE, lock="update")
        if coupon.distribution != CouponDistribution.BATCH or coupon.status == CouponStatus.ENDED:
            raise CouponNotIssuable(
                f"It is {coupon.status}, its codes are {coupon.distribution}.",
                state=coupon.status,
                distribution=coupon.distribution,
            )
        batch_id = new_id()
        job_id = self._uow.enqueue(JOB, {"batch_id": str(batch_id)})
        self._uow.record_audit("coupon", id, "batch_ordered", {"codes": [None, body.count]})
        return await self._uow.insert(
            CouponBatch,
            id=batch_id,
            coupon_id=id,
            prefix=body.prefix,
            wanted=body.count,
            made=0,
            job_id=job_id,
            made_by=self._uow.actor.member_id,
        )

    async def make_some(self, batch_id: UUID) -> tuple[int, int]:
        """Make some thousands of what is missing: (made, wanted) so far, which commits with the codes."""
        batch = await self._uow.get(CouponBatch, batch_id, lock="update")
        count = min(CHUNK, batch.wanted - batch.made)
        if not count:
            return batch.made, batch.wanted
        codes = {batch.prefix + secret_code() for _ in range(count)}
        rows = await self._uow.fetch(
            _MAKE,
            self._uow.tenant_id,
            batch.coupon_id,
            batch.id,
            [new_id() for _ in codes],
            list(codes),
            self._uow.now,
        )
        await self._uow.update(batch, made=batch.made + len(rows))
        await self._more(batch.coupon_id, len(rows))
        return batch.made + len(rows), batch.wanted


async def make_batch(context: JobContext, order: BatchOrder) -> dict[str, int]:
    """Make a batch; started again it goes on where it was."""
    while True:
        await context.go_on()
        async with context.transaction() as uow:
            made, wanted = await Coupons(uow).make_some(order.batch_id)
        await context.progress(made, wanted)
        if made == wanted:
            return {"codes": made}


KIND: Final = JobKind(JOB, BatchOrder, make_batch)


async def exported(kernel: Kernel, actor: Actor, coupon_id: UUID) -> AsyncGenerator[bytes, None]:
    """All codes of a coupon as CSV, in the order in which they were made, some thousands at a time."""
    yield b"code,batch_id,member_id,valid_until,uses\r\n"
    last = UUID(int=0)
    while True:
        async with transaction(kernel, actor, read_only=True) as uow:
            rows = await uow.fetch(_EXPORT, uow.tenant_id, coupon_id, last, CHUNK)
        if not rows:
            return
        last = rows[-1]["id"]
        yield _as_csv(rows)


def _as_csv(rows: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([row[name] for name in ("code", "batch_id", "member_id", "valid_until", "uses")])
    return text.getvalue().encode()


def secret_code() -> str:
    """A code with a letter in it, as no card's number has."""
    while True:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        if not code.isdecimal():
            return code


_ISSUE: Final = """
INSERT INTO membership.coupon_codes (tenant_id, id, coupon_id, member_id, code, reference, valid_until, use_limit,
  uses, created_at)
SELECT $1, n.id, $2, n.member_id, n.code, n.reference, $7, 1, 0, $8
FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[]) AS n(id, member_id, code, reference)
ON CONFLICT DO NOTHING
RETURNING id, member_id, reference"""
_ISSUED: Final = """
SELECT c.* FROM membership.coupon_codes c
JOIN unnest($3::uuid[], $4::text[]) AS n(member_id, reference)
  ON c.member_id = n.member_id AND (c.reference = n.reference OR c.id = ANY($5::uuid[]))
WHERE c.tenant_id = $1 AND c.coupon_id = $2"""
_MAKE: Final = """
INSERT INTO membership.coupon_codes (tenant_id, id, coupon_id, batch_id, code, use_limit, uses, created_at)
SELECT $1, n.id, $2, $3, n.code, 1, 0, $6 FROM unnest($4::uuid[], $5::text[]) AS n(id, code)
ON CONFLICT DO NOTHING RETURNING id"""
_EXPORT: Final = """
SELECT id, code, batch_id, member_id, valid_until, uses FROM membership.coupon_codes
WHERE tenant_id = $1 AND coupon_id = $2 AND id > $3 ORDER BY id LIMIT $4"""

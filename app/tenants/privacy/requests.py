"""Requests of people: made as a draft that shows what is held, confirmed by whoever may, run in the background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.errors import Conflict, NotFound
from app.kernel.jobs import JobContext, JobPaused
from app.kernel.log_pages import NEWEST, Slice, select_page
from app.kernel.registry import JobKind
from app.kernel.signatures import Signatures
from app.kernel.uow import UnitOfWork
from app.tenants.leaving.certificates import statement
from app.tenants.privacy import people_list
from app.tenants.privacy.exporting import PersonExport
from app.tenants.privacy.finding import Finder, Match, Subject, asked_for, matching
from app.tenants.privacy.models import PrivacyKind, PrivacyRequest, PrivacyState
from app.tenants.privacy.running import PersonErasure, hashes

JOB: Final = "privacy.answer"
OBJECT: Final = "privacy_request"
MANAGE: Final = "privacy:manage"
CONFIRM: Final = "privacy:confirm"


class PrivacyRequestNotDraft(Conflict):
    """The request was confirmed or cancelled already."""

    code = "privacy_request_not_draft"
    title = "The request is no draft any more"


class PersonExportNotReady(Conflict):
    """There is no file: the request is not completed, is no export, or its file is gone after its days."""

    code = "person_export_not_ready"
    title = "There is no file to download"


class AnswerPayload(BaseModel):
    """Which request is answered."""

    request_id: UUID


class PrivacyRequests:
    """The requests of one company."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def people(self, email: str | None, phone: str | None) -> tuple[list[Match], list[str]]:
        """Who has this address or number, and what those who had it and were erased had refused."""
        uow = self._uow
        who = asked_for(email, phone, uow.actor.tenant.country)
        rows = await uow.fetch(
            "SELECT DISTINCT channel FROM tenants.privacy_refusals WHERE tenant_id = $1"
            " AND key_hash = ANY($2::bytea[]) ORDER BY channel",
            uow.tenant_id,
            hashes(uow, who),
        )
        return await matching(uow, who), [row["channel"] for row in rows]

    async def make(self, kind: PrivacyKind, subjects: Sequence[Subject], reason: str) -> PrivacyRequest:
        """A draft with what is held of the person, and who else has their address. Raises: Invalid."""
        uow = self._uow
        request = await uow.insert(
            PrivacyRequest,
            audit=OBJECT,
            kind=kind,
            state=PrivacyState.DRAFT,
            subjects=[{"object": one.object, "record_id": str(one.record_id)} for one in subjects],
            reason=reason,
            held=[],
            candidates=[],
            created_by=uow.actor.id,
        )
        finder = Finder(uow, request.id)
        who = await finder.people(subjects)
        await finder.rows(who)
        held = await finder.counts()
        others = await matching(uow, who, but=await finder.found())
        await finder.forget()
        candidates = [
            {"object": one.object, "record_id": str(one.record_id), "same": list(one.same)} for one in others
        ]
        await uow.fetch(
            "UPDATE tenants.privacy_requests SET held = $3, candidates = $4 WHERE tenant_id = $1 AND id = $2",
            uow.tenant_id,
            request.id,
            held,
            candidates,
        )
        return await uow.get(PrivacyRequest, request.id)

    async def get(self, id: UUID) -> PrivacyRequest:
        """One request. Raises: NotFound."""
        return await self._uow.get(PrivacyRequest, id)

    async def page(self, *, limit: int, cursor: str | None) -> Slice[PrivacyRequest]:
        """Requests, the newest first. Raises: InvalidCursor."""
        all_of_them = self._uow.select(PrivacyRequest)
        return await select_page(
            self._uow, all_of_them, NEWEST, name="privacy-requests", limit=limit, cursor=cursor
        )

    async def confirm(self, id: UUID) -> PrivacyRequest:
        """Have it answered. Confirmed again it is the same; one whose job has failed goes on.

        Raises: NotFound; PrivacyRequestNotDraft when it was cancelled.
        """
        uow = self._uow
        request = await uow.get(PrivacyRequest, id, lock="update")
        if request.state == PrivacyState.CANCELLED:
            raise PrivacyRequestNotDraft("It was cancelled; make another.")
        if request.state == PrivacyState.COMPLETED:
            return request
        if request.state == PrivacyState.RUNNING:
            return request if await self._at_work(request) else await self._go_on(request)
        return await uow.update(
            request,
            audit=OBJECT,
            action="confirmed",
            state=PrivacyState.RUNNING,
            confirmed_at=uow.now,
            confirmed_by=uow.actor.id,
            job_id=self._enqueue(id),
        )

    async def cancel(self, id: UUID) -> PrivacyRequest:
        """Give a draft up. Raises: NotFound; PrivacyRequestNotDraft."""
        request = await self._uow.get(PrivacyRequest, id, lock="update")
        if request.state != PrivacyState.DRAFT:
            raise PrivacyRequestNotDraft
        return await self._uow.update(request, audit=OBJECT, action="cancelled", state=PrivacyState.CANCELLED)

    async def file(self, id: UUID) -> PrivacyRequest:
        """The request of an export whose file is there; that somebody takes it is audited.

        Raises: NotFound; PersonExportNotReady.
        """
        request = await self.get(id)
        if request.file_key is None or request.expires_at is None or request.expires_at <= self._uow.now:
            raise PersonExportNotReady
        await self._uow.begin_writing()
        self._uow.record_audit(OBJECT, id, "downloaded")
        return request

    async def certificate(self, id: UUID) -> tuple[PrivacyRequest, bool]:
        """A completed erasure, and whether a key of this installation signed its certificate for it.

        Raises: NotFound.
        """
        request = await self.get(id)
        if request.certificate is None or request.signature is None or request.key_id is None:
            raise NotFound("No certificate was made of this request.")
        signatures = Signatures(self._uow.kernel.secrets, people_list.PURPOSE)
        signed = statement(request.certificate | {"kind": people_list.CERTIFIED})
        named = request.certificate["request_id"] == str(request.id)
        return request, signatures.ours(request.key_id, request.signature, signed) and named

    async def _at_work(self, request: PrivacyRequest) -> bool:
        row = await self._uow.fetchrow(
            "SELECT state FROM kernel.jobs WHERE tenant_id = $1 AND id = $2",
            self._uow.tenant_id,
            request.job_id,
        )
        return row is not None and row["state"] in ("queued", "running")

    async def _go_on(self, request: PrivacyRequest) -> PrivacyRequest:
        return await self._uow.update(
            request, audit=OBJECT, action="resumed", job_id=self._enqueue(request.id)
        )

    def _enqueue(self, id: UUID) -> UUID:
        return self._uow.enqueue(JOB, {"request_id": str(id)})


async def answer(context: JobContext, payload: AnswerPayload) -> dict[str, Any]:
    """Answer a request; a job that is started again goes on where it was."""
    context.actor.require("privacy:confirm")
    async with context.transaction() as uow:
        request = await uow.get(PrivacyRequest, payload.request_id)
    if request.kind == PrivacyKind.EXPORT:
        await PersonExport(context.kernel, context.actor, request.id).run()
        return {"request_id": str(request.id)}

    async def told(erased: int) -> None:
        await context.progress(erased)
        if context.stopping.is_set():
            raise JobPaused

    await PersonErasure(context.kernel, context.actor, request.id, told).run()
    return {"request_id": str(request.id)}


ANSWER: Final = JobKind(JOB, AnswerPayload, answer, attempts=20)

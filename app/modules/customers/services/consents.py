"""Consent: what somebody said about being reached, per channel, with time and source.

Statements are only ever added. The state of a channel is the statement that was given last, which need not be
the one that was recorded last: a paper form may be typed in after an unsubscribe.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.records import RecordService
from app.modules.customers.models import Consent
from app.modules.customers.schemas import ConsentInput, ConsentRead

SHOWN = 200


async def record_consent(service: RecordService[Any], id: UUID, said: ConsentInput) -> ConsentRead:
    """Add a statement, and the channel's state if it is the latest. Raises `NotFound`, `Forbidden`, `Invalid`.

    Nothing is said in the future: it would stand against whatever is said until then.
    """
    if said.given_at is not None and said.given_at > service.uow.now:
        raise Invalid.at("/given_at", "in_the_future", "That time has not come yet.")
    row = await service.get(id, action="update", lock="update")
    return await state_consent(service, row, said)


async def state_consent(service: RecordService[Any], row: Any, said: ConsentInput) -> ConsentRead:
    """The same for a row that is held and may be changed."""
    uow = service.uow
    given_at = said.given_at or uow.now
    made = await uow.insert(
        Consent,
        object=service.record.object,
        record_id=row.id,
        channel=said.channel,
        status=said.status,
        source=said.source,
        note=said.note,
        given_at=given_at,
        created_by=uow.actor.member_id,
    )
    standing = row.consents.get(said.channel)
    if standing is None or given_at >= datetime.fromisoformat(standing["at"]):
        state = {
            "status": said.status.value,
            "source": said.source,
            "at": given_at.isoformat().replace("+00:00", "Z"),
        }
        await service.write(
            row, {"consents": {**row.consents, said.channel.value: state}}, action="consent_recorded"
        )
    return _read(made)


async def consent_history(service: RecordService[Any], id: UUID) -> list[ConsentRead]:
    """Every statement about a visible record, newest first; none where consents are hidden. Raises `NotFound`."""
    await service.get(id)
    uow = service.uow
    if "consents" in uow.actor.hidden(service.record.object):
        return []
    rows = await uow.all(
        uow.select(Consent)
        .where(Consent.object == service.record.object, Consent.record_id == id)
        .order_by(Consent.id.desc())
        .limit(SHOWN)
    )
    return [_read(row) for row in rows]


def _read(row: Consent) -> ConsentRead:
    values = row.__dict__
    return ConsentRead(**{name: values[name] for name in ConsentRead.model_fields})

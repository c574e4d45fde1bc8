"""Idempotency keys: the same POST sent twice takes effect once, and answers the same (API.md).

The key's row commits in the transaction of the effect, so there is no moment at which one exists without the
other. Scope: tenant, principal, method, path. Kept for 24 hours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.kernel.errors import BadRequest, IdempotencyKeyReused, RequestInFlight
from app.kernel.uow import UnitOfWork

KEPT_HEADERS = frozenset({"etag", "location", "content-type"})


@dataclass(slots=True)
class Claim:
    """A key held by this transaction; `replay` is the stored answer if the key has one."""

    identity: dict[str, Any]
    replay: Response | None = None

    def remember(self, uow: UnitOfWork, response: Response) -> None:
        """Store a successful answer with its effect; refusals are not stored and may be tried again."""
        if 200 <= response.status_code < 300:
            headers = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
            body = bytes(response.body).decode()
            uow.remember_answer(
                self.identity | {"status": response.status_code, "headers": headers, "body": body}
            )


async def claim(uow: UnitOfWork, request: Request, raw_key: str, body: bytes) -> Claim:
    """Hold the key until the transaction ends.

    Raises: `BadRequest` for a key that is empty or over 255 characters; `RequestInFlight` while another
    transaction holds it; `IdempotencyKeyReused` when it came with another body.
    """
    key = raw_key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > 255:
        raise BadRequest("An Idempotency-Key has 1 to 255 characters.", header="Idempotency-Key")
    path = request.url.path
    query = request.url.query
    request_hash = hashlib.sha256(query.encode() + b"\0" + body).hexdigest()
    identity = {
        "principal_id": uow.actor.id,
        "method": request.method,
        "path": path,
        "key": key,
        "request_hash": request_hash,
    }
    lock = int.from_bytes(
        hashlib.blake2b(
            f"{uow.tenant_id}{uow.actor.id}{request.method}{path}\0{key}".encode(), digest_size=8
        ).digest(),
        "big",
        signed=True,
    )
    row = await uow.fetchrow(
        "SELECT pg_try_advisory_xact_lock($1) AS held, k.request_hash, k.status, k.headers, k.body,"
        " k.created_at <= $7::timestamptz - interval '24 hours' AS expired"
        " FROM (SELECT 1) one LEFT JOIN kernel.idempotency_keys k ON k.tenant_id = $2 AND k.principal_id = $3"
        " AND k.method = $4 AND k.path = $5 AND k.key = $6",
        lock,
        uow.tenant_id,
        uow.actor.id,
        request.method,
        path,
        key,
        uow.now,
    )
    if row is None:  # the left side is a constant, so there is always one
        raise RequestInFlight
    if row["status"] is not None and not row["expired"]:
        if row["request_hash"] != request_hash:
            raise IdempotencyKeyReused
        return Claim(identity, replay=_replay(row))
    if not row["held"]:
        raise RequestInFlight(headers={"Retry-After": "1"})
    if row["expired"]:  # the nightly purge has not come by yet
        await uow.fetch(
            "DELETE FROM kernel.idempotency_keys"
            " WHERE tenant_id = $1 AND principal_id = $2 AND method = $3 AND path = $4 AND key = $5",
            uow.tenant_id,
            uow.actor.id,
            request.method,
            path,
            key,
        )
    return Claim(identity)


def _replay(row: Any) -> Response:
    headers = row["headers"] if isinstance(row["headers"], dict) else orjson.loads(row["headers"])
    return Response(
        row["body"].encode(), status_code=row["status"], headers=headers | {"Idempotent-Replayed": "true"}
    )

"""Idempotency keys: the same POST sent twice takes effect once, and answers the same (API.md).

The key's row commits in the transaction of the effect, so there is no moment at which one exists without the
other. Scope: tenant, principal, method, path. Kept for 24 hours; an answer that shows a secret is kept encrypted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.kernel.access import Actor
from app.kernel.errors import BadRequest, IdempotencyKeyReused, RequestInFlight
from app.kernel.secrets import decode_base64url, encode_base64url
from app.kernel.uow import UnitOfWork

KEPT_HEADERS = frozenset({"etag", "location", "content-type"})


_PLAIN = re.compile(r"[A-Za-z0-9/_.:-]{1,300}")

TAKEN = "RA001"
"""SQLSTATE of `kernel.guard_idempotency_key`: the key has an answer already, or another transaction holds it."""


@dataclass(slots=True)
class Claim:
    """A key held by a transaction; `replay` is the stored answer if the key has one, `sealed` keeps it encrypted."""

    identity: dict[str, Any]
    lock: int
    sealed: bool = False
    replay: Response | None = None

    @property
    def guard(self) -> str:
        """SQL text that holds the key or fails with `TAKEN`; it travels with BEGIN and costs no round trip."""
        of = self.identity
        texts = (_literal(of[name]) for name in ("method", "path", "key"))
        return f"SELECT kernel.guard_idempotency_key({self.lock}, '{of['principal_id']}', {', '.join(texts)})"

    def remember(self, uow: UnitOfWork, response: Response) -> None:
        """Store a successful answer with its effect; refusals are not stored and may be tried again."""
        if 200 <= response.status_code < 300:
            headers = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
            body = self._kept(uow, bytes(response.body))
            uow.remember_answer(
                self.identity | {"status": response.status_code, "headers": headers, "body": body}
            )

    def _kept(self, uow: UnitOfWork, body: bytes) -> str:
        if not self.sealed:
            return body.decode()
        return encode_base64url(uow.kernel.secrets.encrypt(body, context=self._context(uow)))

    def _shown(self, uow: UnitOfWork, kept: str) -> bytes:
        if not self.sealed:
            return kept.encode()
        return uow.kernel.secrets.decrypt(decode_base64url(kept), context=self._context(uow))

    def _context(self, uow: UnitOfWork) -> str:
        return f"answer:{uow.tenant_id}:{self.lock}"

    def answered(self, uow: UnitOfWork, row: Any) -> Claim:
        """The same with its stored answer."""
        headers = row["headers"] if isinstance(row["headers"], dict) else orjson.loads(row["headers"])
        replay = Response(
            self._shown(uow, row["body"]),
            status_code=row["status"],
            headers=headers | {"Idempotent-Replayed": "true"},
        )
        return replace(self, replay=replay)


def _literal(text: str) -> str:
    """SQL of a text, for a message that takes no arguments: as hexadecimal digits where it is not plain.

    `convert_from` hands on the collation "C" of its encoding's name, with which the function could not use the index
    of the keys.
    """
    if _PLAIN.fullmatch(text):
        return f"'{text}'"
    return f"convert_from('\\x{text.encode().hex()}', 'UTF8') COLLATE \"default\""


def claim_for(actor: Actor, request: Request, raw_key: str, body: bytes, *, sealed: bool = False) -> Claim:
    """What a request would hold. Raises `BadRequest` for a key that is empty or over 255 characters."""
    key = raw_key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > 255:
        raise BadRequest("An Idempotency-Key has 1 to 255 characters.", header="Idempotency-Key")
    method, path = request.method, str(request.scope["path"])
    identity = {
        "principal_id": actor.id,
        "method": method,
        "path": path,
        "key": key,
        "request_hash": hashlib.sha256(request.scope["query_string"] + b"\0" + body).hexdigest(),
    }
    scope = f"{actor.tenant.id}{actor.id}{method}{path}\0{key}".encode()
    lock = int.from_bytes(hashlib.blake2b(scope, digest_size=8).digest(), "big", signed=True)
    return Claim(identity, lock, sealed)


async def claim(uow: UnitOfWork, wanted: Claim) -> Claim:
    """Hold the key until the transaction ends, or find the answer that it has.

    Raises: `RequestInFlight` while another transaction holds it; `IdempotencyKeyReused` when it came with
    another body.
    """
    of = wanted.identity
    key = (uow.tenant_id, of["principal_id"], of["method"], of["path"], of["key"])
    row = await uow.fetchrow(
        "SELECT pg_try_advisory_xact_lock($6) AS held, k.request_hash, k.status, k.headers, k.body,"
        " k.created_at <= $7::timestamptz - interval '24 hours' AS expired"
        " FROM (SELECT 1) one LEFT JOIN kernel.idempotency_keys k ON k.tenant_id = $1 AND k.principal_id = $2"
        " AND k.method = $3 AND k.path = $4 AND k.key = $5",
        *key,
        wanted.lock,
        uow.now,
    )
    if row is None:  # the left side is a constant, so there is always one
        raise RequestInFlight
    if row["status"] is not None and not row["expired"]:
        if row["request_hash"] != of["request_hash"]:
            raise IdempotencyKeyReused
        return wanted.answered(uow, row)
    if not row["held"]:
        raise RequestInFlight(headers={"Retry-After": "1"})
    if row["expired"]:  # the nightly purge has not come by yet
        await uow.fetch(
            "DELETE FROM kernel.idempotency_keys"
            " WHERE tenant_id = $1 AND principal_id = $2 AND method = $3 AND path = $4 AND key = $5",
            *key,
        )
    return wanted

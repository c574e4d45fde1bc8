"""The public keys, where verifiers look for them (RFC 8414, RFC 7517)."""

from __future__ import annotations

from fastapi import Response

from app.kernel.routing import Router
from app.kernel.schemas import Output
from app.tenants.auth.caller import CallerDep

router = Router(tags=["sign-in"])


class PublicKey(Output):
    kty: str
    crv: str
    x: str
    y: str
    kid: str
    use: str
    alg: str


class KeySet(Output):
    keys: list[PublicKey]


@router.get("/.well-known/jwks.json", access="public", own_transaction=True, response_model=KeySet)
async def get_signing_keys(caller: CallerDep, response: Response) -> KeySet:
    """The keys that verify our access tokens; a new one is published an hour before it signs."""
    response.headers["Cache-Control"] = "public, max-age=900"
    return KeySet.model_validate(caller.identity.tokens.jwks())

"""Rate limits: token buckets per tenant and per principal, told to the caller in every answer.

A tenant's plan says its quota, and the setting the least that everybody has.
The buckets live in the process: with N processes a tenant gets up to N times the published quota, which keeps
one caller from starving the others and costs two microseconds. A shared store (Redis) is an adapter behind the
same `check`. Guesses at passwords are counted in the database instead, across processes (`app.tenants`).

Headers follow draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` names each quota and its window,
`RateLimit` says what remains and in how many seconds the bucket is full again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Actor
from app.kernel.errors import TooManyRequests

WINDOW_SECONDS: Final = 60
PRINCIPAL_SHARE: Final = 0.5
"""One member or key may use this share of the tenant's quota, so that one broken script leaves room for people."""
MAX_BUCKETS: Final = 100_000
_MOST_PLANS: Final = 1_000
Headers = list[tuple[bytes, bytes]]


class _Bucket:
    """Tokens left at a moment; they grow back evenly."""

    __slots__ = ("at", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at


@dataclass(frozen=True, slots=True)
class _Quota:
    capacity: int
    per_second: float

    @classmethod
    def per_minute(cls, requests: int) -> _Quota:
        return cls(max(1, requests), max(1, requests) / WINDOW_SECONDS)

    def refill(self, buckets: dict[Any, _Bucket], key: Any, now: float) -> _Bucket:
        """The bucket of a key as of `now`."""
        bucket = buckets.get(key)
        if bucket is None:
            if len(buckets) >= MAX_BUCKETS:
                self._forget_full(buckets, now)
            bucket = buckets[key] = _Bucket(self.capacity, now)
            return bucket
        tokens = bucket.tokens + (now - bucket.at) * self.per_second
        bucket.tokens = min(self.capacity, tokens)
        bucket.at = now
        return bucket

    def _forget_full(self, buckets: dict[Any, _Bucket], now: float) -> None:
        # A full bucket says nothing that a missing one does not; when none is full, the busiest start anew.
        full = [k for k, b in buckets.items() if b.tokens + (now - b.at) * self.per_second >= self.capacity]
        for key in full or list(buckets):
            del buckets[key]


@dataclass(frozen=True, slots=True)
class _Quotas:
    """A tenant's quota and that of each of its principals, with the header that names them."""

    tenant: _Quota
    principal: _Quota
    policy: tuple[bytes, bytes]

    @classmethod
    def per_minute(cls, requests: int) -> _Quotas:
        tenant = _Quota.per_minute(requests)
        principal = _Quota.per_minute(math.ceil(requests * PRINCIPAL_SHARE))
        quotas = (("tenant", tenant.capacity), ("principal", principal.capacity))
        policy = ", ".join(f'"{name}";q={capacity};w={WINDOW_SECONDS}' for name, capacity in quotas)
        return cls(tenant, principal, (b"ratelimit-policy", policy.encode()))


class RateLimiter:
    """The buckets of one process."""

    def __init__(self, per_minute: int, *, seconds: Callable[[], float] = time.monotonic) -> None:
        """`per_minute` requests per tenant, more where its plan says so; `seconds` is a monotonic source."""
        self._seconds = seconds
        self._least = per_minute
        self._quotas: dict[int | None, _Quotas] = {None: _Quotas.per_minute(per_minute)}
        self._tenants: dict[UUID, _Bucket] = {}
        self._principals: dict[tuple[UUID, UUID], _Bucket] = {}
        self._attempts: dict[str, tuple[float, int]] = {}

    def check(self, actor: Actor, scope: MutableMapping[str, Any]) -> None:
        """Take one request's token from the tenant's and the principal's bucket.

        Leaves the answer's headers in `scope["rapport.rate_limit"]`. A refused request takes nothing.
        Raises: TooManyRequests with `Retry-After` in whole seconds.
        """
        now = self._seconds()
        tenant_id = actor.tenant.id
        planned = actor.tenant.allowance.requests_per_minute
        quotas = self._quotas.get(planned) or self._quotas_of(planned)
        shared = quotas.tenant.refill(self._tenants, tenant_id, now)
        own = quotas.principal.refill(self._principals, (tenant_id, actor.id), now)
        if shared.tokens < 1 or own.tokens < 1:
            self._tell(scope, quotas, shared, own)
            self._refuse(quotas, shared, own)
        shared.tokens -= 1
        own.tokens -= 1
        self._tell(scope, quotas, shared, own)

    def _quotas_of(self, planned: int | None) -> _Quotas:
        """Those of a plan; plans are few, so they are kept."""
        if len(self._quotas) > _MOST_PLANS:
            self._quotas.clear()
        found = self._quotas[planned] = _Quotas.per_minute(max(self._least, planned or 0))
        return found

    def _tell(self, scope: MutableMapping[str, Any], quotas: _Quotas, shared: _Bucket, own: _Bucket) -> None:
        tenant, principal = quotas.tenant, quotas.principal
        value = b'"tenant";r=%d;t=%d, "principal";r=%d;t=%d' % (
            shared.tokens,
            -((shared.tokens - tenant.capacity) // tenant.per_second),
            own.tokens,
            -((own.tokens - principal.capacity) // principal.per_second),
        )
        scope["rapport.rate_limit"] = [quotas.policy, (b"ratelimit", value)]

    def _refuse(self, quotas: _Quotas, shared: _Bucket, own: _Bucket) -> None:
        waits = {
            "tenant": (1 - shared.tokens) / quotas.tenant.per_second,
            "principal": (1 - own.tokens) / quotas.principal.per_second,
        }
        policy = max(waits, key=lambda name: waits[name])
        seconds = max(1, math.ceil(waits[policy]))
        whose = "this company" if policy == "tenant" else "you"
        raise TooManyRequests(
            f"The requests of {whose} are used up; try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
            policy=policy,
        )

    def attempt(self, key: str, limit: int, per_seconds: float) -> None:
        """Count one try under a key, in this process: cheap protection of public operations by address.

        At most `limit` in a window of `per_seconds` that starts with the first. Raises: TooManyRequests.
        """
        now = self._seconds()
        started, count = self._attempts.get(key, (now, 0))
        if now - started >= per_seconds:
            started, count = now, 0
        if count >= limit:
            seconds = max(1, math.ceil(started + per_seconds - now))
            raise TooManyRequests(
                f"Too many attempts; try again in {seconds} s.", headers={"Retry-After": str(seconds)}
            )
        if len(self._attempts) >= MAX_BUCKETS:
            self._attempts.clear()
        self._attempts[key] = (started, count + 1)

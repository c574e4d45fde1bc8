"""Rate limits: token buckets and what the caller is told of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from app.kernel.access import Actor, TenantProfile
from app.kernel.errors import TooManyRequests
from app.kernel.rate_limits import RateLimiter


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def member(tenant: TenantProfile) -> Actor:
    return Actor(tenant=tenant, kind="member", id=uuid4(), name="Ada")


def told(scope: dict[str, Any]) -> dict[bytes, bytes]:
    return dict(scope["rapport.rate_limit"])


def test_every_answer_names_the_policies_and_what_remains():
    limiter = RateLimiter(60, seconds=Seconds())
    scope: dict[str, Any] = {}
    limiter.check(member(TenantProfile(uuid4())), scope)
    assert told(scope) == {
        b"ratelimit-policy": b'"tenant";q=60;w=60, "principal";q=30;w=60',
        b"ratelimit": b'"tenant";r=59;t=1, "principal";r=29;t=2',
    }


def test_one_member_cannot_use_up_the_company():
    time, scope = Seconds(), {}
    limiter = RateLimiter(60, seconds=time)
    tenant = TenantProfile(uuid4())
    greedy, other = member(tenant), member(tenant)
    for _ in range(30):
        limiter.check(greedy, scope)
    with pytest.raises(TooManyRequests) as refused:
        limiter.check(greedy, scope)
    assert refused.value.headers == {"Retry-After": "2"}
    assert refused.value.members == {"policy": "principal"}
    assert told(scope)[b"ratelimit"] == b'"tenant";r=30;t=30, "principal";r=0;t=60'
    limiter.check(other, scope)


def test_a_company_cannot_use_up_another():
    limiter = RateLimiter(60, seconds=Seconds())
    tenant = TenantProfile(uuid4())
    for _ in range(2):
        someone = member(tenant)
        for _ in range(30):
            limiter.check(someone, {})
    with pytest.raises(TooManyRequests) as refused:
        limiter.check(member(tenant), {})
    assert refused.value.members == {"policy": "tenant"}
    limiter.check(member(TenantProfile(uuid4())), {})


def test_tokens_grow_back_evenly_and_refusals_cost_none():
    time = Seconds()
    limiter = RateLimiter(60, seconds=time)
    actor = member(TenantProfile(uuid4()))
    for _ in range(30):
        limiter.check(actor, {})
    for _ in range(100):
        with pytest.raises(TooManyRequests):
            limiter.check(actor, {})
    time.now = 2.0
    limiter.check(actor, {})
    with pytest.raises(TooManyRequests):
        limiter.check(actor, {})


def test_attempts_under_a_key_are_counted_in_their_window():
    time = Seconds()
    limiter = RateLimiter(60, seconds=time)
    for _ in range(3):
        limiter.attempt("reset:127.0.0.1", 3, 60)
    time.now = 20
    with pytest.raises(TooManyRequests) as refused:
        limiter.attempt("reset:127.0.0.1", 3, 60)
    assert refused.value.headers == {"Retry-After": "40"}
    limiter.attempt("reset:127.0.0.2", 3, 60)
    time.now = 60
    limiter.attempt("reset:127.0.0.1", 3, 60)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.kernel.rate_limits.MAX_BUCKETS", 10)
    limiter = RateLimiter(60, seconds=Seconds())
    for _ in range(100):
        limiter.check(member(TenantProfile(uuid4())), {})
    assert len(limiter._tenants) <= 10

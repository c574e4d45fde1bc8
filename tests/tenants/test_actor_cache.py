"""The actor cache: never stale."""

from datetime import UTC, datetime, timedelta

from app.kernel.access import Actor, TenantProfile
from app.kernel.ids import new_id
from app.tenants.auth.actor_cache import SIZE, ActorCache, Entry


def entry(tenant):
    actor = Actor(tenant=TenantProfile(id=tenant), kind="member", id=new_id(), name="x")
    return Entry(actor, datetime.now(UTC) + timedelta(minutes=1))


def connected_cache():
    cache = ActorCache()
    cache.connected = True
    return cache


def test_an_actor_read_before_a_change_is_not_kept_after_it():
    cache, tenant = connected_cache(), new_id()
    epoch = cache.epoch
    cache.forget(new_id())
    cache.put("a", entry(tenant), epoch=epoch)
    assert cache.entries == {}


def test_nothing_of_a_tenant_is_kept_between_a_change_and_its_notification():
    cache, tenant, other = connected_cache(), new_id(), new_id()
    cache.put("old", entry(tenant), epoch=cache.epoch)
    change, second = cache.hold(tenant), cache.hold(tenant)
    assert "old" not in cache.entries
    cache.put("a", entry(tenant), epoch=cache.epoch)
    cache.put("b", entry(other), epoch=cache.epoch)
    assert set(cache.entries) == {"b"}
    cache.release(tenant, change)
    cache.put("a", entry(tenant), epoch=cache.epoch)
    assert set(cache.entries) == {"b"}
    cache.release(tenant, second)
    cache.put("a", entry(tenant), epoch=cache.epoch)
    assert set(cache.entries) == {"a", "b"}


def test_a_change_that_was_rolled_back_stops_caching_for_a_minute_only(monkeypatch):
    cache, tenant = connected_cache(), new_id()
    cache.hold(tenant)
    monkeypatch.setattr("app.tenants.auth.actor_cache._HOLD_SECONDS", -1.0)
    cache._holds.clear()
    cache.hold(tenant)
    cache.put("a", entry(tenant), epoch=cache.epoch)
    assert set(cache.entries) == {"a"}


def test_without_a_listener_nothing_is_kept():
    cache = ActorCache()
    cache.put("a", entry(new_id()), epoch=cache.epoch)
    assert cache.entries == {}


def test_the_oldest_actors_leave_when_it_is_full():
    cache, tenant = connected_cache(), new_id()
    one = entry(tenant)
    for number in range(SIZE + 3):
        cache.put(str(number), one, epoch=cache.epoch)
    assert len(cache.entries) == SIZE
    assert "2" not in cache.entries
    assert "3" in cache.entries
    cache.forget(tenant)
    assert cache.entries == {}

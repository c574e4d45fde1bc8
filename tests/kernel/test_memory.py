"""What a process notes of tenants, for the choice between two ways that are both right."""

from __future__ import annotations

from app.kernel import memory
from app.kernel.ids import new_id
from app.kernel.memory import TenantMemory


def test_what_is_noted_of_one_tenant_holds_of_no_other_and_until_it_is_noted_again() -> None:
    known, (mine, yours) = TenantMemory(), (new_id(), new_id())
    known.note("simple", mine, holds=True)
    assert (known.noted("simple", mine), known.noted("simple", yours)) == (True, False)
    assert not known.noted("other", mine)
    known.note("simple", mine, holds=False)
    assert not known.noted("simple", mine)


def test_what_is_noted_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 3)
    known, tenants = TenantMemory(), [new_id() for _ in range(4)]
    for one in tenants:
        known.note("simple", one, holds=True)
    assert [known.noted("simple", one) for one in tenants] == [False, False, False, True]

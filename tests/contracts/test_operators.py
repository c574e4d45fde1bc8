"""Every operation of operators × everybody who is none: refused, and nothing written; and the operator gets through."""

from __future__ import annotations

import pytest

from app.kernel.routing import OPERATOR
from app.main import Application
from app.tenants.operators.keys import create_key, revoke_key
from tests.contracts.samples import Operation
from tests.contracts.test_matrix import Findings, nothing_changes
from tests.contracts.world import World
from tests.support.api import Client
from tests.tenants.people import Look

NOT_AT_ONCE = {
    "erase_tenant_as_operator": 422,  # the slug is another's
    "get_erasure": 404,  # nobody was erased
    "mark_tenant_bill_paid": 404, "void_tenant_bill": 404,  # there is no bill of this id
    "delete_impersonation": 404,  # there is none of this id
    "move_tenant_plan_as_operator": 409,  # it has that plan by then
}  # fmt: skip
"""What a request that is right but comes at the wrong moment answers at most; success is fine too."""


def operated(world: World) -> list[Operation]:
    return [operation for operation in world.operations if operation.access == OPERATOR]


async def strangers(world: World, app: Application) -> list[Client]:
    """Nobody, people and programs of the company itself, and a key of an operator that was revoked."""
    assert app.kernel is not None
    key = await world.owner.ok("POST", "/v1/api-keys", json={"name": "no operator"})
    gone = await create_key(app.kernel, "Gone")
    await revoke_key(app.kernel, gone.id)
    tokens = (None, world.owner.token, key["key"], gone.key, "rok_live_nonsense")
    return [Client(world.owner.http, token=token) for token in tokens]


async def test_operations_of_operators_take_no_other_credential(ours: World, look: Look, app: Application):
    clients, findings = await strangers(ours, app), Findings()
    assert len(operated(ours)) > 8

    async def act() -> None:
        for operation in operated(ours):
            request = ours.request(operation)
            for client in clients:
                answer = await request.send(client)
                refused = (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
                findings.expect(refused and "www-authenticate" in answer.headers, operation, answer)

    await nothing_changes(look, [ours], act)
    findings.none()


async def test_operators_get_through_everywhere_and_change_nobody_else(
    ours: World, theirs: World, look: Look, app: Application
):
    assert app.kernel is not None
    made, findings = await create_key(app.kernel, "Contract"), Findings()
    client = Client(theirs.owner.http, token=made.key)

    async def act() -> None:
        for operation in operated(theirs):
            answer = await theirs.request(operation).send(client)
            fine = answer.is_success or answer.status_code == NOT_AT_ONCE.get(operation.id)
            findings.expect(fine, operation, answer)

    try:
        await nothing_changes(look, [ours], act)
    finally:
        await look.run(
            "UPDATE tenants.tenants SET status = 'active' WHERE tenant_id = $1", theirs.company.tenant_id
        )
        app.kernel.authenticator.forget(theirs.company.tenant_id)
    findings.none()


@pytest.mark.parametrize("path", ["/v1/me", "/v1/leads", "/v1/billing/subscription", "/v1/tenant/export"])
async def test_an_operators_key_is_no_credential_of_a_company(path: str, ours: World, app: Application):
    assert app.kernel is not None
    made = await create_key(app.kernel, "Stray")
    answer = await Client(ours.owner.http, token=made.key).get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")

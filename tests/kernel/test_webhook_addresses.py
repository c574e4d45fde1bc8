"""A webhook cannot be made to reach into the operator's own network, whatever its name resolves to."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator

import httpcore
import pytest

from app.kernel.errors import Invalid
from app.kernel.outbox import Relay
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from app.kernel.webhooks import WebhookSender
from app.kernel.webhooks.addresses import AddressRefused, PinnedBackend, check_url, is_public
from app.kernel.webhooks.endpoints import Endpoints
from app.kernel.webhooks.schemas import WebhookEndpointCreate
from tests.support.events import company_actor, worker_kernel
from tests.support.receiver import receiving


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1",
        "::1", "::", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_addresses_that_are_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "ftp://hooks.example.com/", "hooks.example.com", "https://", "https:///path",
        "https://user:pass@hooks.example.com/", "https://hooks.example.com/#part", "https://127.0.0.1/",
        "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://localhost/", "https://db.internal/",
        "https://hooks.example.com:99999/", "https://hooks.example.com/a b", "https://höoks.example.com/",
        "https://hooks.example.com/\r\nX: y", "https://[broken/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_urls_that_no_endpoint_may_have(url):
    assert check_url(url, allow_private=False) is not None


def test_urls_that_an_endpoint_may_have():
    assert check_url("https://hooks.example.com:8443/rapport?key=1", allow_private=False) is None
    assert check_url("http://127.0.0.1:9000/", allow_private=True) is None


async def test_a_name_with_one_private_address_is_refused_before_a_socket_opens():
    async with receiving() as inside:

        async def resolver(host: str, port: int) -> list[str]:
            return ["1.1.1.1", "127.0.0.1"]

        backend = PinnedBackend(allow_private=False, resolver=resolver)
        with pytest.raises(AddressRefused):
            await backend.connect_tcp("rebinding.example.com", inside.port)
    assert inside.received == []


async def test_what_was_checked_is_what_is_connected_to():
    """The name is asked once: an answer that changes between check and use cannot matter."""
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with receiving() as receiver:
        pool = httpcore.AsyncConnectionPool(
            network_backend=PinnedBackend(allow_private=True, resolver=resolver)
        )
        async with pool:
            answer = await pool.request("POST", f"http://hooks.example.com:{receiver.port}/x", content=b"{}")
        assert answer.status == 200
        assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"
    assert asked == ["hooks.example.com"]


@pytest.fixture
async def strict(own_database: str) -> AsyncIterator[Kernel]:
    async with worker_kernel(own_database, webhook_allow_private=False) as found:
        yield found


async def test_a_public_name_that_leads_inside_is_refused_at_send_time_and_logged(strict):
    actor = company_actor()
    async with transaction(strict, actor) as uow:
        endpoint = await Endpoints(uow).create(WebhookEndpointCreate(url="https://hooks.example.com/"))
        await Endpoints(uow).ping(endpoint.id)

    async def resolver(host: str, port: int) -> list[str]:
        return ["169.254.169.254"]  # the address of cloud machines' metadata

    await Relay(strict).run_once()
    assert await WebhookSender(strict, resolver=resolver).run_once() == 1
    async with transaction(strict, actor) as uow:
        [attempt] = await uow.fetch("SELECT status, error FROM kernel.webhook_attempts")
    assert (attempt["status"], attempt["error"]) == (None, "the name leads to an address that is not public")


async def test_a_private_address_is_refused_when_the_endpoint_is_made(strict):
    async def create() -> None:
        async with transaction(strict, company_actor()) as uow:
            await Endpoints(uow).create(WebhookEndpointCreate(url="https://192.168.0.10/"))

    with pytest.raises(Invalid) as refused:
        await create()
    assert refused.value.errors[0].pointer == "/url"
    async with strict.database.control_session() as connection:
        assert await connection.fetchval("SELECT count(*) FROM kernel.webhook_endpoints") == 0

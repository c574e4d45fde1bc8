"""Where a webhook may go: a name is resolved when the connection is made, checked, and connected to as checked.

Checking the URL alone is no protection: a public name may resolve to a private address, and to another one a
moment later (OWASP, Server-Side Request Forgery Prevention). So the check sits where the socket is opened.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(httpcore.ConnectError):
    """The receiver's name leads to an address that webhooks may not reach."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also behind IPv6 forms that carry an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner: Iterable[Address | None] = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
        if address in _NAT64:
            inner = (ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF),)
        carried = [found for found in inner if found is not None]
        if carried:
            return all(is_public(found) for found in carried)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system's resolver gives them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def check_url(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with a receiver's URL before anything is resolved, or None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "This is no URL."
    if parts.scheme not in ("https", "http") or not host or not url.isascii() or any(c <= " " for c in url):
        return "Give an absolute https URL; international names in their ASCII form."
    if parts.scheme == "http" and not allow_private:
        return "Webhooks go over https."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "Leave out user names and fragments; the signature proves who sends."
    if allow_private:
        return None
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return "This address is not public."
    literal = _literal(host)
    return "This address is not public." if literal is not None and not is_public(literal) else None


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Opens sockets for httpcore: resolves, refuses what is not public, and connects to what it checked."""

    def __init__(self, *, allow_private: bool, resolver: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._resolve = resolver
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises `AddressRefused` and httpcore's connection errors."""
        try:
            addresses = await asyncio.wait_for(self._resolve(host, port), timeout)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        except OSError as error:
            raise httpcore.ConnectError(f"the name cannot be resolved: {error.strerror}") from None
        if not addresses:
            raise httpcore.ConnectError("the name has no address")
        if not self._allow_private:
            for address in addresses:
                if not is_public(ipaddress.ip_address(address.partition("%")[0])):
                    raise AddressRefused("the name leads to an address that is not public")
        return await self._connect(addresses, port, timeout, local_address, socket_options)

    async def _connect(
        self, addresses: list[str], port: int, seconds: float | None, local: str | None, options: Any
    ) -> httpcore.AsyncNetworkStream:
        for address in addresses[:-1]:
            try:
                return await self._sockets.connect_tcp(address, port, seconds, local, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(addresses[-1], port, seconds, local, options)

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)

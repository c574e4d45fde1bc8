"""Tests talk to this machine only: a connection to anywhere else is a mistake, and is refused."""

import ipaddress
import sys
from typing import Any

_NAMES = {"localhost", "", "0.0.0.0"}


class NetworkRefused(BaseException):
    """Not an Exception, so that a client's retry or fallback does not hide it."""


def refuse_foreign_connections() -> None:
    """Watch every connect of this process from now on; cannot be undone (`sys.addaudithook`)."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not _is_local(str(address[0])):
            raise NetworkRefused(f"a test connects to {address[0]}")


def _is_local(host: str) -> bool:
    try:
        return host in _NAMES or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False

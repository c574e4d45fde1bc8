"""Browsers wait for a page as long as a slow machine needs, not five seconds or thirty."""

from __future__ import annotations

from typing import Final, TypeVar

from playwright.async_api import BrowserContext, Page, expect

from tests.support.waiting import PATIENCE

_MILLISECONDS: Final = PATIENCE * 1_000
expect.set_options(timeout=_MILLISECONDS)
T = TypeVar("T", BrowserContext, Page)


def patient(opened: T) -> T:
    """A page, or what pages are opened in, that waits that long for whatever it is asked to do."""
    opened.set_default_timeout(_MILLISECONDS)
    return opened

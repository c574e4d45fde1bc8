"""A company's colour, made fit to be read: contrast as WCAG 2.2 measures it (1.4.3)."""

from __future__ import annotations

import re
from typing import Final

READABLE: Final = 4.5
"""The least contrast of text with what is behind it (WCAG 2.2, 1.4.3, level AA)."""
DEFAULT: Final = "#0b5cc0"
_HEX: Final = re.compile(r"#[0-9a-f]{6}")


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours given as `#rrggbb`, from 1 to 21."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def readable(color: str | None) -> str:
    """The colour itself where white text on it, and it on white, can be read; else the same hue, darkened until so.

    Anything but `#rrggbb` in small letters is the default.
    """
    if color is None or not _HEX.fullmatch(color):
        return DEFAULT
    channels = _channels(color)
    for step in range(100, -1, -1):
        darkened = "#" + "".join(f"{channel * step // 100:02x}" for channel in channels)
        if contrast(darkened, "#ffffff") >= READABLE:
            return darkened
    return DEFAULT


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)

"""Reads a small QR code (ISO/IEC 18004, version 1, digits) out of an SVG picture; nothing is corrected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

SIZE = 21
BORDER = 4
_MASKS: tuple[Callable[[int, int], int], ...] = (
    lambda i, j: (i + j) % 2,
    lambda i, _: i % 2,
    lambda _, j: j % 3,
    lambda i, j: (i + j) % 3,
    lambda i, j: (i // 2 + j // 3) % 2,
    lambda i, j: i * j % 2 + i * j % 3,
    lambda i, j: (i * j % 2 + i * j % 3) % 2,
    lambda i, j: ((i + j) % 2 + i * j % 3) % 2,
)


def digits_in(picture: bytes) -> str:
    """The number that the picture stands for."""
    dark = _dark(picture)
    mask = _MASKS[sum(((8, 2 + place) in dark) << (2 - place) for place in range(3)) ^ 0b101]
    bits = "".join(
        str(int((row, column) in dark) ^ (mask(row, column) == 0)) for row, column in _data_modules()
    )
    mode, count, bits = bits[:4], int(bits[4:14], 2), bits[14:]
    assert mode == "0001", "not digits"
    found = ""
    while len(found) < count:
        digits = min(3, count - len(found))
        width = (4, 7, 10)[digits - 1]
        found += f"{int(bits[:width], 2):0{digits}}"
        bits = bits[width:]
    return found


def _dark(picture: bytes) -> set[tuple[int, int]]:
    """Row and column of what is dark: horizontal strokes, one module high."""
    (path,) = re.findall(rb' d="([^"]+)"', picture)
    x, y, found = 0.0, 0.0, set()
    for step, numbers in re.findall(r"([Mmh])([-\d. ]+)", path.decode()):
        first, *rest = map(float, numbers.split())
        if step == "h":
            found |= {(int(y) - BORDER, int(x) + place - BORDER) for place in range(int(first))}
            x += first
        else:
            x, y = (first, rest[0]) if step == "M" else (x + first, y + rest[0])
    return found


def _data_modules() -> Iterator[tuple[int, int]]:
    """In the order in which bits are written: up and down in pairs of columns, from the right."""
    up = True
    for right in (20, 18, 16, 14, 12, 10, 8, 5, 3, 1):
        for row in reversed(range(SIZE)) if up else range(SIZE):
            for column in (right, right - 1):
                if not _fixed(row, column):
                    yield row, column
        up = not up


def _fixed(row: int, column: int) -> bool:
    corner = (row < 9 and (column < 9 or column > 12)) or (row > 12 and column < 9)
    return corner or 6 in (row, column)

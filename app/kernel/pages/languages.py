"""Which language a stranger is answered in."""

from __future__ import annotations

from typing import Final

from app.kernel.figures import Language

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


def language_of(wanted: object, accepted: str | None, fallback: str = "en") -> Language:
    """`en` or `zh`: what was asked for, else what the browser prefers (RFC 9110, 12.5.4), else `fallback`."""
    for candidate in (wanted, *_preferred(accepted or "")):
        for language in LANGUAGES:
            if isinstance(candidate, str) and candidate[:2].lower() == language:
                return language
    return "zh" if fallback.lower().startswith("zh") else "en"


def _preferred(header: str) -> list[str]:
    weighted: list[tuple[float, int, str]] = []
    for at, part in enumerate(header[:500].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        if weight > 0:
            weighted.append((-weight, at, tag))
    return [tag for _, _, tag in sorted(weighted)]

"""Addresses as letters have them."""

from __future__ import annotations

from babel import Locale

from app.kernel.figures import Language


def address_lines(
    language: Language,
    *,
    street: str | None,
    postal_code: str | None,
    city: str | None,
    region: str | None,
    country: str | None,
) -> list[str]:
    """From large to small in Chinese, from small to large in English; `country` is an ISO 3166-1 code."""
    land = Locale(language).territories.get(country or "", "")
    streets = [line for line in (street or "").splitlines() if line.strip()]
    if language == "zh":
        place = "".join(part for part in (land, region, city) if part)
        return [part for part in (place, *streets, postal_code) if part]
    place = " ".join(part for part in (postal_code, city, region) if part)
    return [part for part in (*streets, place, land) if part]

"""E-mail addresses, telephone numbers and web addresses as people type them.

Two forms each: what was typed, tidied, which is shown and used, and a normal form, which is compared. Most
input is plain, so a regular expression decides first (under 2 µs) and the full libraries see the rest only.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Annotated, Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, AnyHttpUrl, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

EMAIL_MAX: Final = 254
PHONE_MAX: Final = 40
URL_MAX: Final = 2048

# A subset of RFC 5321 on which email-validator agrees; a "--" or a digit in the last label goes the long way.
_PLAIN_EMAIL: Final = re.compile(
    r"(?=[^@]{1,64}@)([a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@((?:[a-z0-9](?:[a-z0-9]|-(?!-)){0,61}(?<!-)\.)+[a-z]{2,63})",
    re.ASCII | re.IGNORECASE,
)
_PHONE_SHAPE: Final = re.compile(
    r"[+(]?[0-9(][0-9 ().\-/]*(?:\s?(?:ext\.?|x|#|转|分机)\s?[0-9]{1,7})?", re.ASCII
)
_BETWEEN_DIGITS: Final = str.maketrans("", "", "+ ()-./")
# Numbers that need no plan of numbers: Chinese mobiles, and American ones, which are all ten digits long.
_PLAIN_PHONES: Final = {
    "CN": re.compile(r"(?:\+86[ \-]?)?(1[3-9][0-9])[ \-]?([0-9]{4})[ \-]?([0-9]{4})", re.ASCII),
    "US": re.compile(r"(?:\+1[ \-.]?)?\(?([2-9][0-9]{2})\)?[ \-.]?([0-9]{3})[ \-.]?([0-9]{4})", re.ASCII),
}
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_PLAIN_CODES: Final = {"CN": "+86", "US": "+1"}
_EXTENSION: Final = re.compile(r"\s?(?:ext\.?|x|#|转|分机)\s?[0-9]{1,7}$", re.IGNORECASE)
_PLAIN_URL: Final = re.compile(
    r"(?:(https?)://)?((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9])(:[0-9]{1,5})?"
    r"((?:[/?#][!-~]*)?)",
    re.ASCII | re.IGNORECASE,
)
_HTTP_URL: Final = TypeAdapter(AnyHttpUrl)


class EmailInvalid(ValueError):
    """The text is not an e-mail address."""


class PhoneInvalid(ValueError):
    """The text does not look like a telephone number."""


class UrlInvalid(ValueError):
    """The text is not a web address."""


@lru_cache(maxsize=256)  # a row's address is cleaned, compared and searched
def clean_email(text: str) -> str:
    """The address as it is written and sent to: trimmed, NFC, domain in lower case, local part as typed.

    Syntax only (RFC 5321 with SMTPUTF8), no DNS; quoted local parts and domains without a dot are refused.
    Raises: EmailInvalid.
    """
    text = text.strip()
    if len(text) > EMAIL_MAX:
        raise EmailInvalid(f"An e-mail address has at most {EMAIL_MAX} characters")
    plain = _PLAIN_EMAIL.fullmatch(text)
    if plain is not None and len(plain[2]) <= 253:
        return f"{plain[1]}@{plain[2].lower()}"
    return _check_email(text)


def normalise_email(text: str) -> str:
    """The address as it is compared: as `clean_email`, with the local part case-folded too.

    Raises: EmailInvalid.
    """
    cleaned = clean_email(text)
    return cleaned.lower() if cleaned.isascii() else unicodedata.normalize("NFC", cleaned.casefold())


def _check_email(text: str) -> str:
    try:
        # Special-use names (.test, .local) and offline checks: an address book holds what people have.
        found = validate_email(text, check_deliverability=False, globally_deliverable=False, strict=True)
    except (EmailNotValidError, UnicodeError):
        raise EmailInvalid("Not an e-mail address") from None
    if "." not in found.domain or found.domain.startswith("["):
        raise EmailInvalid("Not an e-mail address")
    return f"{found.local_part}@{found.domain.lower()}"


def clean_phone(text: str) -> str:
    """The number as typed, trimmed, with full-width characters made narrow; the country is not needed yet.

    Raises: PhoneInvalid if it has fewer than 3 or more than 20 digits, or letters beyond an extension.
    """
    if len(text) > 4 * PHONE_MAX:
        raise PhoneInvalid(f"A telephone number has at most {PHONE_MAX} characters")
    tidy = text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).strip()
    tidy = tidy.replace("\u2010", "-").replace("\u2013", "-").replace("\u2212", "-")
    if len(tidy) > PHONE_MAX or _PHONE_SHAPE.fullmatch(tidy) is None:
        raise PhoneInvalid("Not a telephone number")
    if not 3 <= len(phone_digits(tidy)) <= 20:
        raise PhoneInvalid("A telephone number has 3 to 20 digits")
    return tidy


@lru_cache(maxsize=1_024)
def to_e164(text: str, region: str | None = None) -> str | None:
    """The number in E.164 (`+8613800138000`), or None where that cannot be said; keep the raw text beside it.

    `region` is the ISO 3166 country for numbers without a country code, as a rule the tenant's. A number
    counts when its length is possible in its country; whether the block is allotted is not asked, since
    numbering plans change faster than any table. An extension is left out.
    """
    plain = _plain_e164(text, region) or _written_in_e164(text)
    if plain is not None:
        return plain
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _plain_e164(text: str, region: str | None) -> str | None:
    """What parsing comes to for the commonest shapes, in 1 µs instead of 60; None where it has to be parsed."""
    if text.startswith("+"):
        region = "CN" if text.startswith("+86") else "US" if text.startswith("+1") else None
    shape = _PLAIN_PHONES.get(region) if region else None
    found = shape.fullmatch(text) if shape else None
    return None if found is None or region is None else _PLAIN_CODES[region] + "".join(found.groups())


def _written_in_e164(text: str) -> str | None:
    """A number that is in E.164 already, in 2 µs instead of 100; None where only parsing can tell."""
    if not 8 <= len(text) <= 16 or _E164.fullmatch(text) is None:
        return None
    for width in (1, 2, 3):  # no code of a country begins another
        if int(text[1 : 1 + width]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            national = text[1 + width :]
            lengths, prefix = _national_plan(int(text[1 : 1 + width]))
            bare = national[0] != "0" and (prefix is None or prefix.match(national) is None)
            as_it_is = bare and len(national) in lengths
            return text if as_it_is else None
    return None


@cache
def _national_plan(code: int) -> tuple[frozenset[int], re.Pattern[str] | None]:
    """How long the national numbers behind a country code are, and what parsing would take off their front."""
    region = phonenumbers.region_code_for_country_code(code)
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if plan is None or plan.general_desc is None:
        return frozenset(), None
    prefix = plan.national_prefix_for_parsing
    return frozenset(plan.general_desc.possible_length), re.compile(prefix) if prefix else None


def phone_digits(text: str) -> str:
    """The digits alone, in ASCII, without an extension: what a search by last digits compares."""
    bare = text.translate(_BETWEEN_DIGITS)
    if bare.isascii() and bare.isdigit():
        return bare
    text = _EXTENSION.sub("", text)
    if text.isascii():
        return "".join(filter(str.isdigit, text))
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())


def clean_url(text: str) -> str:
    """A web address with its scheme: `https://` is put before a bare host, the host is in lower case.

    Only http and https, no user or password, no blanks; a host outside ASCII becomes punycode.
    Raises: UrlInvalid.
    """
    text = text.strip()
    if len(text) > URL_MAX:
        raise UrlInvalid(f"A web address has at most {URL_MAX} characters")
    plain = _PLAIN_URL.fullmatch(text)
    if plain is not None and len(plain[2]) <= 253 and int((plain[3] or ":0")[1:]) <= 65535:
        return f"{(plain[1] or 'https').lower()}://{plain[2].lower()}{plain[3] or ''}{plain[4]}"
    return _check_url(text)


def _check_url(text: str) -> str:
    scheme, found, _ = text.partition("://")
    if found and scheme.lower() not in {"http", "https"}:
        raise UrlInvalid("A web address begins with http:// or https://")
    if text.startswith("/") or any(
        char.isspace() or char in '\\<>"' or not char.isprintable() for char in text
    ):
        raise UrlInvalid("Not a web address")
    try:
        url = _HTTP_URL.validate_python(text if found else f"https://{text}")
    except ValidationError:
        raise UrlInvalid("Not a web address") from None
    if url.username or url.password or "." not in (url.host or "") or len(str(url)) > URL_MAX:
        raise UrlInvalid("Not a web address")
    return str(url)


def _email_field(text: str) -> str:
    try:
        return clean_email(text)
    except EmailInvalid:
        raise PydanticCustomError("invalid_email", "Not an e-mail address") from None


def _email_key_field(text: str) -> str:
    return normalise_email(_email_field(text))


def _phone_field(text: str) -> str:
    try:
        return clean_phone(text)
    except PhoneInvalid:
        raise PydanticCustomError("invalid_phone", "Not a telephone number") from None


def _url_field(text: str) -> str:
    try:
        return clean_url(text)
    except UrlInvalid:
        raise PydanticCustomError("invalid_url", "Not a web address (http or https)") from None


Email = Annotated[
    str,
    Field(max_length=320, json_schema_extra={"format": "email", "examples": ["li.hua@example.com"]}),
    AfterValidator(_email_field),
]
"""An address as shown and sent to; see `clean_email`."""

EmailKey = Annotated[
    str,
    Field(max_length=320, json_schema_extra={"format": "email", "examples": ["li.hua@example.com"]}),
    AfterValidator(_email_key_field),
]
"""An address as compared, for sign-in and look-ups; see `normalise_email`."""

Phone = Annotated[
    str,
    Field(max_length=4 * PHONE_MAX, json_schema_extra={"examples": ["+86 138 0013 8000"]}),
    AfterValidator(_phone_field),
]
"""A number as typed; see `clean_phone`. The service adds `to_e164(…, region)` beside it."""

Url = Annotated[
    str,
    Field(max_length=URL_MAX, json_schema_extra={"examples": ["https://example.com"]}),
    AfterValidator(_url_field),
]
"""A web address; see `clean_url`."""

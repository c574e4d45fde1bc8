"""Countries: the codes that are written down are those of CLDR, and each is known by itself."""

from babel import Locale

from app.kernel.countries import COUNTRIES, country_code

NOT_COUNTRIES = {"EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"}  # unions, the unknown, inventions


def test_the_codes_are_those_of_cldr():
    known = {code for code in map(str, Locale("en").territories) if len(code) == 2 and code.isalpha()}
    assert known - NOT_COUNTRIES == COUNTRIES


def test_a_country_is_known_by_code_in_any_case_and_by_name():
    assert {country_code(code) for code in COUNTRIES} == COUNTRIES
    assert {country_code(code.lower()) for code in COUNTRIES} == COUNTRIES
    assert [country_code(name) for name in ("Germany", "德国", " uk ", "UK", "EU", "")] == [
        "DE", "DE", "GB", "GB", None, None,
    ]  # fmt: skip

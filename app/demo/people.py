"""People of both languages, with the address-safe spelling of their names."""

import random
from dataclasses import dataclass

from app.demo import words
from app.demo.records import Language


@dataclass(frozen=True, slots=True)
class Person:
    """A name, its two parts, and `local`, the part of an e-mail before the @."""

    name: str
    family_name: str
    given_name: str
    local: str


def person(rng: random.Random, language: Language) -> Person:
    """Somebody whose name is usual in that language; names repeat, as they do in life."""
    if language == "zh":
        family, family_latin = rng.choice(words.ZH_SURNAMES)
        given, given_latin = rng.choice(words.ZH_GIVEN)
        return Person(family + given, family, given, f"{family_latin}.{given_latin}")
    family, given = rng.choice(words.EN_SURNAMES), rng.choice(words.EN_GIVEN)
    return Person(f"{given} {family}", family, given, f"{given}.{family}".lower().replace("'", ""))


class Mailboxes:
    """Gives every mailbox once: a namesake at the same company gets a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def address(self, local: str, domain: str) -> str:
        """`local@domain`, or `local2@domain` and so on when that is taken."""
        address, number = f"{local}@{domain}", 1
        while address in self._taken:
            number += 1
            address = f"{local}{number}@{domain}"
        self._taken.add(address)
        return address

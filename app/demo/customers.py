"""The accounts and their contacts, before history is laid over them."""

import random
from dataclasses import dataclass

from app.demo import companies, reserved, words
from app.demo.chance import weighted
from app.demo.companies import Company, CompanyRegister
from app.demo.history import Window
from app.demo.organisation import Territories
from app.demo.people import Mailboxes, person
from app.demo.records import DemoAccount, DemoContact, Language, Rating

CHINESE_SHARE = 0.6
_PERSON_SHARE = 0.04
_SUBSIDIARY_SHARE = 0.08
_RATINGS: dict[Rating, float] = {"hot": 2, "warm": 5, "cold": 3}
_SOURCES: dict[Language, dict[str, float]] = {
    "zh": {"referral": 30, "event": 25, "wechat": 15, "web": 12, "cold_call": 10, "partner": 8},
    "en": {"referral": 28, "event": 22, "web": 25, "partner": 15, "cold_call": 10},
}
_ROLE_WEIGHTS = {role: spec.weight for role, spec in words.ROLES.items()}
_PHONE_TRIES = 50


class PhoneBook:
    """Reserved numbers, each given once as long as the range of the city lasts."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._taken: set[str] = set()

    def number(self, country: str, city: str, *, mobile: bool) -> str:
        """A fresh E.164 number; a small range that is used up repeats itself."""
        number = ""
        for _ in range(_PHONE_TRIES):
            number = reserved.phone(self._rng, country, city, mobile=mobile)
            if number not in self._taken:
                break
        self._taken.add(number)
        return number


@dataclass(frozen=True, slots=True)
class Customer:
    """An account with the company behind it, which its contacts and leads share."""

    account: DemoAccount
    company: Company


class CustomerFactory:
    """Makes accounts and contacts; keeps what has to be unique among them and the leads."""

    def __init__(self, rng: random.Random, window: Window, territories: Territories) -> None:
        self._rng = rng
        self._window = window
        self._territories = territories
        self.register = CompanyRegister(rng)
        self.mailboxes = Mailboxes()
        self.phones = PhoneBook(rng)

    def customers(self, count: int) -> list[Customer]:
        """`count` customers, parents before their subsidiaries."""
        made: list[Customer] = []
        for number in range(1, count + 1):
            language: Language = "zh" if self._rng.random() < CHINESE_SHARE else "en"
            parents = [c for c in made if c.company.language == language and c.account.kind == "company"]
            draw = self._rng.random()
            if draw < _PERSON_SHARE:
                made.append(self._consumer(number, language))
            elif parents and draw < _PERSON_SHARE + _SUBSIDIARY_SHARE:
                made.append(self._organisation(number, language, parent=self._rng.choice(parents)))
            else:
                made.append(self._organisation(number, language, parent=None))
        return made

    def contacts(self, customers: list[Customer], count: int) -> list[DemoContact]:
        """`count` people: one for every account first, the rest where chance puts them."""
        homes = customers[:count] + self._rng.choices(customers, k=max(0, count - len(customers)))
        homes.sort(key=lambda customer: customer.account.external_id)
        return [self._contact(number, home) for number, home in enumerate(homes, 1)]

    def _organisation(self, number: int, language: Language, *, parent: Customer | None) -> Customer:
        rng = self._rng
        company = self.register.found(language, brand=parent.company.brand if parent else None)
        place = company.place
        account = DemoAccount(
            external_id=f"A-{number:04d}",
            name=company.name,
            kind="company",
            industry=company.industry.code,
            size=weighted(rng, words.SIZES),
            country=place.country,
            region=place.region,
            city=place.city,
            address=companies.address(rng, place),
            website=f"https://{company.domain}",
            phone=self.phones.number(place.country, place.city, mobile=False),
            email=self.mailboxes.address("info", company.domain),
            registration_number=reserved.registration_number(rng, place.country),
            source=weighted(rng, _SOURCES[language]),
            lifecycle_stage="lead",
            rating=weighted(rng, _RATINGS),
            tags=tuple(sorted(rng.sample(words.TAGS[language], k=rng.choice((0, 0, 1, 1, 2))))),
            owner=self._territories.owner(rng, place.country, place.region),
            parent=parent.account.external_id if parent else None,
            created_at=self._window.moment(rng, language, place.country),
        )
        return Customer(account, company)

    def _consumer(self, number: int, language: Language) -> Customer:
        rng = self._rng
        someone, place = person(rng, language), companies.place(rng, language)
        domain = reserved.domain(rng, "mail")
        company = Company(someone.name, someone.name, "", language, words.INDUSTRIES[4], place, domain)
        account = DemoAccount(
            external_id=f"A-{number:04d}",
            name=someone.name,
            kind="person",
            industry="retail",
            size=None,
            country=place.country,
            region=place.region,
            city=place.city,
            address=companies.address(rng, place),
            website=None,
            phone=self.phones.number(place.country, place.city, mobile=True),
            email=self.mailboxes.address(someone.local, domain),
            registration_number=None,
            source="web",
            lifecycle_stage="lead",
            rating=weighted(rng, _RATINGS),
            tags=(),
            owner=self._territories.owner(rng, place.country, place.region),
            parent=None,
            created_at=self._window.moment(rng, language, place.country),
        )
        return Customer(account, company)

    def _contact(self, number: int, home: Customer) -> DemoContact:
        rng, company = self._rng, home.company
        someone, role = person(rng, company.language), weighted(rng, _ROLE_WEIGHTS)
        post = words.post(rng, role, company.language)
        return DemoContact(
            external_id=f"C-{number:04d}",
            account=home.account.external_id,
            name=someone.name,
            family_name=someone.family_name,
            given_name=someone.given_name,
            title=post.title,
            department=post.department,
            email=self.mailboxes.address(someone.local, company.domain),
            phone=self.phones.number(company.place.country, company.place.city, mobile=True),
            role=role,
            created_at=self._window.between(rng, home.account.created_at),
        )

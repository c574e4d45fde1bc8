"""Near-duplicates put in on purpose, so that the duplicate finder has something to find and we know what."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from app.demo.history import Window
from app.demo.records import DemoAccount, DemoContact, DemoLead, LeadTimeline, NearDuplicate

Reason = Literal["email", "phone", "name", "registration_number"]


def share(count: int) -> int:
    """How many of `count` records are near-duplicates: about one in a hundred."""
    return round(count / 100)


def accounts(
    rng: random.Random, originals: Sequence[DemoAccount], count: int
) -> tuple[list[DemoAccount], list[NearDuplicate]]:
    """Companies entered again under a shortened name, some with the same number of the register."""
    known: list[NearDuplicate] = []
    copies = []
    candidates = [a for a in originals if a.kind == "company"]
    for number, original in enumerate(
        rng.sample(candidates, k=min(count, len(candidates))), len(originals) + 1
    ):
        same_number = number % 2 == 0 and original.registration_number is not None
        reason: Reason = "registration_number" if same_number else "name"
        copy = replace(
            original,
            external_id=f"A-{number:04d}",
            name=_shortened(original.name),
            website=None,
            email=f"office@{original.email.split('@')[1]}",
            phone=original.phone,
            registration_number=original.registration_number if same_number else None,
            parent=None,
            tags=(),
        )
        copies.append(copy)
        known.append(
            NearDuplicate(
                kind="account",
                external_id=copy.external_id,
                resembles=original.external_id,
                reason=reason,
            )
        )
    return copies, known


def contacts(
    rng: random.Random, originals: Sequence[DemoContact], count: int
) -> tuple[list[DemoContact], list[NearDuplicate]]:
    """People entered again with another mailbox and the same phone, at the same account."""
    copies, known = [], []
    for number, original in enumerate(
        rng.sample(originals, k=min(count, len(originals))), len(originals) + 1
    ):
        local, host = original.email.split("@")
        copy = replace(
            original,
            external_id=f"C-{number:04d}",
            email=f"{local.split('.')[-1]}.mobile@{host}",
            role="user",
        )
        copies.append(copy)
        known.append(
            NearDuplicate(
                kind="contact",
                external_id=copy.external_id,
                resembles=original.external_id,
                reason="phone",
            )
        )
    return copies, known


def leads(
    rng: random.Random, window: Window, originals: Sequence[DemoLead], count: int
) -> tuple[list[DemoLead], list[NearDuplicate]]:
    """The same person writing twice: the e-mail in other letter case, the company's name shortened."""
    copies, known = [], []
    candidates = [lead for lead in originals if lead.status in ("new", "working", "nurturing")]
    for number, original in enumerate(
        rng.sample(candidates, k=min(count, len(candidates))), len(originals) + 1
    ):
        copy = replace(
            original,
            external_id=f"L-{number:05d}",
            email=original.email.title(),
            company=_shortened(original.company),
            status="new",
            rating="warm",
            tags=(),
            owner=None,
            created_at=window.between(rng, original.created_at),
            timeline=LeadTimeline(),
        )
        copies.append(copy)
        known.append(
            NearDuplicate(
                kind="lead",
                external_id=copy.external_id,
                resembles=original.external_id,
                reason="email",
            )
        )
    return copies, known


def _shortened(name: str) -> str:
    for legal in ("股份有限公司", "有限责任公司", "有限公司"):
        if name.endswith(legal):
            return name.removesuffix(legal) + "公司"
    return " ".join(name.split()[:-1]) if " " in name else name

"""Which configuration and bundle rules lines break: pure computation over facts that were loaded before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.modules.catalog.interface import ConfiguredLine, Violation
from app.modules.catalog.models.configuration import RuleKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """A product as rules see it: they hold for a variant by its parent's id too."""

    id: UUID
    name: str
    decimals: int
    parent_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A configuration rule; `names` are those of the products that it names."""

    id: UUID
    kind: RuleKind
    product_id: UUID
    others: tuple[UUID, ...] = ()
    least: Decimal | None = None
    most: Decimal | None = None
    multiple_of: Decimal | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRule:
    """A component of a bundle, with quantities for one bundle."""

    product_id: UUID
    required: bool
    least: Decimal
    most: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """Components among which one chooses from `least` to `most`."""

    name: str
    least: int
    most: int | None
    components: tuple[ComponentRule, ...]


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """All that is known of the products of some lines, their rules and bundles; `names` of all products named."""

    products: Mapping[UUID, ProductFacts]
    rules: Sequence[Rule]
    bundles: Mapping[UUID, Sequence[GroupRule]]
    names: Mapping[UUID, str]


def find_violations(lines: Sequence[ConfiguredLine], facts: RuleFacts) -> list[Violation]:
    """Everything that is broken, by line; what concerns all lines comes last. Unknown products break nothing."""
    found = [
        *_indivisible(lines, facts),
        *(broken for rule in facts.rules for broken in _broken(rule, lines, facts)),
        *_bundles(lines, facts),
    ]
    return sorted(found, key=lambda one: (one.line is None, one.line or 0))


def _known_as(id: UUID, facts: RuleFacts) -> tuple[UUID, ...]:
    """The ids under which rules may name a product: its own and its parent's."""
    product = facts.products.get(id)
    return (id,) if product is None or product.parent_id is None else (id, product.parent_id)


def _indivisible(lines: Sequence[ConfiguredLine], facts: RuleFacts) -> Iterator[Violation]:
    for index, line in enumerate(lines):
        product = facts.products.get(line.product_id)
        if product is not None and line.quantity % (Decimal(1).scaleb(-product.decimals)):
            places = product.decimals or "no"
            yield Violation(
                line=index,
                code="quantity",
                message=f"A quantity of {product.name} has {places} decimal places.",
            )


def _broken(rule: Rule, lines: Sequence[ConfiguredLine], facts: RuleFacts) -> Iterator[Violation]:
    concerned = [
        index for index, line in enumerate(lines) if rule.product_id in _known_as(line.product_id, facts)
    ]
    if not concerned:
        return
    name = facts.names[rule.product_id]
    if rule.kind is RuleKind.QUANTITY:
        total = sum((lines[index].quantity for index in concerned), Decimal(0))
        wrong = _wrong_quantity(total, rule.least, rule.most, rule.multiple_of)
        if wrong:
            yield _by(rule, concerned[0], "quantity", f"{name}: {wrong}.")
        return
    present = {id for line in lines for id in _known_as(line.product_id, facts)}
    if rule.kind is RuleKind.REQUIRES and present.isdisjoint(rule.others):
        wanted = " or ".join(facts.names[id] for id in rule.others)
        yield _by(rule, concerned[0], "requires", f"{name} requires {wanted}.")
    if rule.kind is RuleKind.EXCLUDES:
        for index, line in enumerate(lines):
            met = [id for id in _known_as(line.product_id, facts) if id in rule.others]
            if met and index not in concerned:
                yield _by(rule, index, "excludes", f"{name} does not go with {facts.names[met[0]]}.")


def _by(rule: Rule, line: int, code: str, message: str) -> Violation:
    return Violation(line=line, code=code, message=rule.message or message, rule_id=rule.id)


def _wrong_quantity(
    quantity: Decimal, least: Decimal | None, most: Decimal | None, multiple_of: Decimal | None = None
) -> str | None:
    if least is not None and quantity < least:
        return f"at least {least:f}, not {quantity:f}"
    if most is not None and quantity > most:
        return f"at most {most:f}, not {quantity:f}"
    if multiple_of is not None and quantity % multiple_of:
        return f"a multiple of {multiple_of:f}, not {quantity:f}"
    return None


def _bundles(lines: Sequence[ConfiguredLine], facts: RuleFacts) -> Iterator[Violation]:
    for index, line in enumerate(lines):
        if line.component_of is not None and not _belongs(lines, line, index, facts):
            yield Violation(
                line=index,
                code="component_unknown",
                message="This is no component of the bundle that it names.",
            )
        if line.component_of is None:
            for group in facts.bundles.get(line.product_id, ()):
                yield from _group(index, group, lines, facts)


def _belongs(lines: Sequence[ConfiguredLine], line: ConfiguredLine, index: int, facts: RuleFacts) -> bool:
    of = line.component_of
    if of is None or not 0 <= of < len(lines) or of == index or lines[of].component_of is not None:
        return False
    parts = {
        one.product_id for group in facts.bundles.get(lines[of].product_id, ()) for one in group.components
    }
    return not parts.isdisjoint(_known_as(line.product_id, facts))


def _group(
    bundle: int, group: GroupRule, lines: Sequence[ConfiguredLine], facts: RuleFacts
) -> Iterator[Violation]:
    per_bundle = lines[bundle].quantity
    chosen = 0
    for component in group.components:
        mine = [
            index
            for index, line in enumerate(lines)
            if line.component_of == bundle and component.product_id in _known_as(line.product_id, facts)
        ]
        name = facts.names[component.product_id]
        if not mine:
            if component.required:
                yield Violation(line=bundle, code="component_missing", message=f"The bundle needs {name}.")
            continue
        chosen += 1
        total = sum((lines[index].quantity for index in mine), Decimal(0))
        most = None if component.most is None else component.most * per_bundle
        wrong = _wrong_quantity(total, component.least * per_bundle, most)
        if wrong:
            yield Violation(
                line=mine[0], code="component_quantity", message=f"{name} in the bundle: {wrong}."
            )
    if chosen < group.least or (group.most is not None and chosen > group.most):
        bounds = f"at least {group.least}" if chosen < group.least else f"at most {group.most}"
        yield Violation(
            line=bundle,
            code="component_count",
            message=f"{group.name}: {bounds} of the components, not {chosen}.",
        )

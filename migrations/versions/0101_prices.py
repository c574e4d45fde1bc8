"""What products cost whom: price books and their entries, agreed prices; bundles and configuration rules.

Revision ID: 0101
Revises: 0100
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, record_columns, record_indexes

revision = "0101"
down_revision = "0100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of prices, bundles and configuration rules in schema `catalog`."""
    _price_books()
    _entries()
    _agreed_prices()
    _bundles()
    _rules()


def _record(name: str, columns: str, *constraints: str, sorts: tuple[str, ...] = ()) -> None:
    own = "".join(f",\n  CONSTRAINT {constraint}" for constraint in constraints)
    op.execute(
        f"""
CREATE TABLE catalog.{name} (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
{columns},
{record_columns()},
  CONSTRAINT pk_{name} PRIMARY KEY (tenant_id, id){own}
)"""
    )
    protect(f"catalog.{name}", record=True)
    record_indexes(f"catalog.{name}", sorts=sorts)


def _price_books() -> None:
    _record(
        "price_books",
        """  code text NOT NULL,
  name text NOT NULL,
  name_en text,
  currency text NOT NULL,
  kind text NOT NULL,
  contract_id uuid,
  partner_id uuid,
  segment text,
  channel text,
  valid_from date,
  valid_until date,
  priority bigint NOT NULL,
  active boolean NOT NULL""",
        "ck_price_books_kind CHECK (kind IN ('contract', 'partner', 'segment', 'channel', 'default'))",
        "ck_price_books_contract_id CHECK ((kind = 'contract') = (contract_id IS NOT NULL))",
        "ck_price_books_partner_id CHECK ((kind = 'partner') = (partner_id IS NOT NULL))",
        "ck_price_books_segment CHECK ((kind = 'segment') = (segment IS NOT NULL))",
        "ck_price_books_channel CHECK ((kind = 'channel') = (channel IS NOT NULL))",
        "ck_price_books_valid_until CHECK (valid_until >= valid_from)",
        sorts=("name", "code"),
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_price_books_code ON catalog.price_books (tenant_id, code) WHERE deleted_at IS NULL"
    )


def _entries() -> None:
    _record(
        "price_book_entries",
        """  price_book_id uuid NOT NULL,
  product_id uuid NOT NULL,
  currency text NOT NULL,
  price numeric NOT NULL,
  tier_kind text NOT NULL,
  tiers jsonb NOT NULL""",
        "fk_price_book_entries_price_book_id FOREIGN KEY (tenant_id, price_book_id)"
        " REFERENCES catalog.price_books (tenant_id, id)",
        "fk_price_book_entries_product_id FOREIGN KEY (tenant_id, product_id)"
        " REFERENCES catalog.products (tenant_id, id)",
        "ck_price_book_entries_price CHECK (price >= 0)",
        "ck_price_book_entries_tier_kind CHECK (tier_kind IN ('range', 'slab'))",
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_price_book_entries_product_id"
        " ON catalog.price_book_entries (tenant_id, price_book_id, product_id) WHERE deleted_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_price_book_entries_product_id"
        " ON catalog.price_book_entries (tenant_id, product_id, price_book_id) WHERE deleted_at IS NULL"
    )


def _agreed_prices() -> None:
    _record(
        "agreed_prices",
        """  product_id uuid NOT NULL,
  account_id uuid,
  contract_id uuid,
  currency text NOT NULL,
  price numeric NOT NULL,
  valid_from date,
  valid_until date""",
        "fk_agreed_prices_product_id FOREIGN KEY (tenant_id, product_id) REFERENCES catalog.products (tenant_id, id)",
        "ck_agreed_prices_account_id CHECK ((account_id IS NULL) <> (contract_id IS NULL))",
        "ck_agreed_prices_price CHECK (price >= 0)",
        "ck_agreed_prices_valid_until CHECK (valid_until >= valid_from)",
    )
    for column in ("account_id", "contract_id"):
        op.execute(
            f"CREATE INDEX ix_agreed_prices_{column} ON catalog.agreed_prices (tenant_id, {column}, product_id)"
            f" WHERE deleted_at IS NULL AND {column} IS NOT NULL"
        )
    op.execute("CREATE INDEX ix_agreed_prices_product_id ON catalog.agreed_prices (tenant_id, product_id)")


def _bundles() -> None:
    op.execute(
        """
CREATE TABLE catalog.bundle_groups (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  bundle_id uuid NOT NULL,
  position bigint NOT NULL,
  name text NOT NULL,
  name_en text,
  min_components bigint NOT NULL,
  max_components bigint,
  CONSTRAINT pk_bundle_groups PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_bundle_groups_position UNIQUE (tenant_id, bundle_id, position),
  CONSTRAINT fk_bundle_groups_bundle_id FOREIGN KEY (tenant_id, bundle_id)
    REFERENCES catalog.products (tenant_id, id),
  CONSTRAINT ck_bundle_groups_min_components CHECK (min_components >= 0),
  CONSTRAINT ck_bundle_groups_max_components CHECK (max_components >= min_components)
)"""
    )
    protect("catalog.bundle_groups")
    op.execute(
        """
CREATE TABLE catalog.bundle_components (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  bundle_id uuid NOT NULL,
  group_id uuid NOT NULL,
  product_id uuid NOT NULL,
  position bigint NOT NULL,
  required boolean NOT NULL,
  min_quantity numeric NOT NULL,
  max_quantity numeric,
  default_quantity numeric NOT NULL,
  pricing text NOT NULL,
  fixed_prices jsonb NOT NULL,
  CONSTRAINT pk_bundle_components PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_bundle_components_product_id UNIQUE (tenant_id, bundle_id, product_id),
  CONSTRAINT fk_bundle_components_bundle_id FOREIGN KEY (tenant_id, bundle_id)
    REFERENCES catalog.products (tenant_id, id),
  CONSTRAINT fk_bundle_components_group_id FOREIGN KEY (tenant_id, group_id)
    REFERENCES catalog.bundle_groups (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_bundle_components_product_id FOREIGN KEY (tenant_id, product_id)
    REFERENCES catalog.products (tenant_id, id),
  CONSTRAINT ck_bundle_components_product_id CHECK (product_id <> bundle_id),
  CONSTRAINT ck_bundle_components_pricing CHECK (pricing IN ('included', 'own', 'fixed')),
  CONSTRAINT ck_bundle_components_min_quantity CHECK (min_quantity > 0),
  CONSTRAINT ck_bundle_components_max_quantity CHECK (max_quantity >= min_quantity),
  CONSTRAINT ck_bundle_components_default_quantity CHECK (default_quantity >= 0)
)"""
    )
    protect("catalog.bundle_components")
    op.execute(
        "CREATE INDEX ix_bundle_components_product_id ON catalog.bundle_components (tenant_id, product_id)"
    )
    op.execute(
        "CREATE INDEX ix_bundle_components_group_id ON catalog.bundle_components (tenant_id, group_id)"
    )


def _rules() -> None:
    _record(
        "configuration_rules",
        """  name text NOT NULL,
  kind text NOT NULL,
  product_id uuid NOT NULL,
  other_product_ids uuid[] NOT NULL DEFAULT '{}',
  min_quantity numeric,
  max_quantity numeric,
  multiple_of numeric,
  message text,
  active boolean NOT NULL""",
        "fk_configuration_rules_product_id FOREIGN KEY (tenant_id, product_id)"
        " REFERENCES catalog.products (tenant_id, id)",
        "ck_configuration_rules_kind CHECK (kind IN ('requires', 'excludes', 'quantity'))",
        "ck_configuration_rules_other_product_ids CHECK"
        " ((kind = 'quantity') = (cardinality(other_product_ids) = 0))",
        "ck_configuration_rules_min_quantity CHECK (min_quantity > 0)",
        "ck_configuration_rules_max_quantity CHECK (max_quantity > 0 AND max_quantity >= coalesce(min_quantity, 0))",
        "ck_configuration_rules_multiple_of CHECK (multiple_of > 0)",
        sorts=("name",),
    )
    op.execute(
        "CREATE INDEX ix_configuration_rules_product_id ON catalog.configuration_rules (tenant_id, product_id)"
        " WHERE deleted_at IS NULL"
    )

"""Typed settings, read from the environment (`RAPPORT_…`) or a `.env` file.

`rapport config` prints this table with the values in force; secrets are shown as set or not set.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

VERSION = "0.1.0"


class Settings(BaseSettings):
    """Everything an operator can turn; every field is documented by its description."""

    model_config = SettingsConfigDict(
        env_prefix="RAPPORT_", env_file=".env", extra="ignore", populate_by_name=True
    )

    environment: Literal["development", "production", "test"] = Field(
        "development", description="`production` hides `/dev/*` and insists on real secrets."
    )
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "RAPPORT_DATABASE_URL"),
        description="PostgreSQL 15+; absent means the embedded PostgreSQL under `data_dir`.",
    )
    database_app_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_APP_URL", "RAPPORT_DATABASE_APP_URL"),
        description="Sign-in of `rapport_app`; absent means `database_url` with SET ROLE.",
    )
    database_control_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_CONTROL_URL", "RAPPORT_DATABASE_CONTROL_URL"),
        description="Sign-in of `rapport_control`; absent means `database_url` with SET ROLE.",
    )
    database_pool_size: int = Field(
        16, ge=1, le=500, description="Connections per process for tenants' work."
    )
    database_control_pool_size: int = Field(
        4, ge=1, le=100, description="Connections per process for sign-in and relays."
    )
    database_statement_cache: int = Field(
        1000,
        ge=0,
        description="Prepared statements per connection; 0 behind PgBouncer's transaction pooling.",
    )
    statement_timeout_ms: int = Field(30_000, ge=0, description="Longest single statement of a request.")
    data_dir: Path = Field(Path("var"), description="Embedded database, files, mail in development, keys.")
    files_url: str | None = Field(
        None, description="`file:///…`, `s3://bucket/prefix`; absent means `data_dir/files`."
    )
    erasure_list: Path | None = Field(
        None,
        description="File that names erased companies, so that a restore does not bring them back: beside the"
        " backups, shared by all hosts; absent means `data_dir/erasures.ndjson`. Erased people stand in one beside"
        " it, called after it: `erasures-people.ndjson`.",
    )
    price_list: Path | None = Field(
        None,
        description="JSON file of the plans on offer, as `app/tenants/billing/plans.json`; absent: that one.",
    )
    trial_days: int = Field(
        14, ge=0, le=366, description="So long a new company uses the product before anything is charged."
    )
    suspension_days: int = Field(
        30, ge=0, description="An account that stays suspended this long for what is unpaid is cancelled."
    )
    export_window_days: int = Field(
        30,
        ge=1,
        description="How long a cancelled account can be exported or taken up again, before it is erased.",
    )
    trial_needs_payment_method: bool = Field(
        False, description="Suspend a company whose trial ends while it has stored no way to pay."
    )
    payment_provider: Literal["offline", "stripe"] = Field(
        "offline",
        description="Who takes the money for bills; `offline`: it comes by transfer and is booked by hand.",
    )
    billing_collection: Literal["charge_automatically", "send_invoice"] = Field(
        "charge_automatically",
        description="Charge what companies stored, or let the provider send its invoice.",
    )
    stripe_secret_key: SecretStr | None = Field(None, description="Stripe's secret or restricted API key.")
    stripe_webhook_secrets: list[SecretStr] = Field(
        default_factory=list,
        description="Signing secrets of Stripe's webhook endpoint (`whsec_…`); two while one is being replaced.",
    )
    stripe_api_url: str | None = Field(
        None, description="Where Stripe's API is, if not at Stripe: for tests."
    )
    payment_days: int = Field(14, ge=0, le=365, description="So long after it is issued a bill is due.")
    seller_name: str = Field("Rapport", description="Who issues the bills of the product itself.")
    seller_address: str = Field("", description="The address on those bills, line by line.")
    seller_country: str = Field(
        "US", pattern="^[A-Z]{2}$", description="Where the issuer pays tax (ISO 3166-1)."
    )
    seller_tax_number: str | None = Field(None, description="The issuer's tax number.")
    seller_bank_details: str = Field("", description="Where those bills are paid to, line by line.")
    tax_rates: dict[str, Decimal] = Field(
        default_factory=dict,
        description="Tax on those bills in percent by the buyer's country, as JSON: "
        '`{"DE": "19", "FR": "20"}`; others pay none.',
    )
    secret_keys: list[SecretStr] = Field(
        default_factory=list,
        description="Base64 32-byte keys that encrypt stored secrets and sign cursors, newest first; "
        "absent means one made under `data_dir` (not in production).",
    )
    public_url: str = Field("http://127.0.0.1:8000", description="Where people reach the API; used in links.")
    cors_origins: list[str] = Field(
        default_factory=list, description="Origins of SPAs that may call the API."
    )
    host: str = Field("127.0.0.1", description="Address that `rapport serve` binds.")
    port: int = Field(8000, ge=0, le=65535, description="Port that `rapport serve` binds.")
    worker_metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of `host` where `rapport worker` serves `/metrics`; else nowhere.",
    )
    body_limit_bytes: int = Field(1_048_576, description="Largest JSON body.")
    upload_limit_bytes: int = Field(536_870_912, description="Largest uploaded file.")
    access_token_minutes: int = Field(10, description="Life of an access token.")
    refresh_idle_days: int = Field(14, description="A session unused this long ends.")
    refresh_absolute_days: int = Field(30, description="A session ends after this in any case.")
    rate_limit_per_minute: int = Field(6_000, description="Requests per tenant and minute (token bucket).")
    mail_url: str | None = Field(
        None, description="`smtp://user:pass@host:587`; absent means a folder under `data_dir`."
    )
    mail_from: str = Field("Rapport <no-reply@rapport.example>", description="Sender of system mail.")
    mail_reply_to: str = Field(
        "replies@rapport.example",
        description="Where answers to mails about cases go; `+` and a key stand before its `@`. What arrives is "
        "handed to `POST /v1/cases/from-email`.",
    )
    webhook_allow_private: bool = Field(
        False, description="Allow webhook receivers on private and loopback addresses (development)."
    )
    log_level: str = Field("INFO", description="Least severity that is logged.")
    log_format: Literal["json", "console"] = Field(
        "json", description="One JSON object per line, or colours."
    )
    otlp_endpoint: str | None = Field(None, description="OpenTelemetry collector; absent means no tracing.")

    def address_of(self, path: str) -> str:
        """The address of a path as people outside reach it; for links."""
        return self.public_url.rstrip("/") + path

    @property
    def in_production(self) -> bool:
        return self.environment == "production"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()

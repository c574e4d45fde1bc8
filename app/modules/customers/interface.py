"""What other modules may know of customers: accounts and contacts by id and key, matching, and two ports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from app.kernel.duplicates import Candidate
from app.kernel.errors import Conflict


class AccountInUse(Conflict):
    """`used_by` counts what refers to the account."""

    code = "account_in_use"
    title = "Other records belong to this account"


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account as others show it."""

    id: UUID
    name: str
    owner_id: UUID | None
    team_id: UUID | None
    lifecycle_stage: str


@dataclass(frozen=True, slots=True)
class AccountProfile:
    """What kind of account it is; what the actor may not read is None."""

    industry: str | None
    size: str | None


@dataclass(frozen=True, slots=True)
class ContactRef:
    """A contact as others show them; `account_id` is their first account."""

    id: UUID
    name: str
    account_id: UUID | None
    email: str | None
    phone: str | None


class OnDuplicate(StrEnum):
    """What to do when a new account or contact looks like one that is there.

    An equal one is always matched. `ASK` refuses where it is not clear which one is meant, `MATCH` takes the
    likeliest, `CREATE` makes a new one.
    """

    ASK = "ask"
    MATCH = "match"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """An account and a contact to find or make. `account` and `contact` are fields as in the API's create bodies.

    With `account_id` or `contact_id` that one is taken and only its empty fields are filled; `overwrite_source`
    also replaces the source. A contact must belong to the account.
    """

    account: Mapping[str, Any]
    contact: Mapping[str, Any] | None = None
    account_id: UUID | None = None
    contact_id: UUID | None = None
    on_duplicate_account: OnDuplicate = OnDuplicate.ASK
    on_duplicate_contact: OnDuplicate = OnDuplicate.ASK
    overwrite_source: bool = False


@dataclass(frozen=True, slots=True)
class Matched:
    """What a request came to: each record, whether it was made, and the fields that were filled."""

    account: AccountRef
    account_created: bool
    account_filled: tuple[str, ...] = ()
    contact: ContactRef | None = None
    contact_created: bool = False
    contact_filled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatchPreview:
    """What a request would come to. `account` and `contact` are those that would be taken; None means made new."""

    account: AccountRef | None
    account_candidates: tuple[Candidate, ...] = ()
    account_hidden: int = 0
    contact: ContactRef | None = None
    contact_candidates: tuple[Candidate, ...] = ()
    contact_hidden: int = 0
    account_filled: tuple[str, ...] = ()
    contact_filled: tuple[str, ...] = ()
    undecided: tuple[str, ...] = field(default=())  # "account", "contact": ASK would refuse


class Customers(Protocol):
    """Accounts and contacts of the tenant, as far as the actor may see them unless said otherwise."""

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, AccountRef]:
        """Known accounts by id; ids that are unknown or not visible are absent.

        An id that was merged away answers with the account that survived, under the id asked for. With `hold`, for
        those about to store the ids, it is absent, and the others are neither deleted nor merged away before this
        transaction ends.
        """

    async def get_contacts(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContactRef]:
        """The same for contacts."""

    async def account_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Names by id, deleted or not visible ones too: for lists that show a name beside their own rows."""

    async def contact_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """The same for contacts."""

    async def accounts_by_external_id(self, keys: Collection[str]) -> Mapping[str, UUID]:
        """Account ids by external id, for imports; unknown keys are absent."""

    async def accounts_by_name(self, names: Collection[str]) -> Mapping[str, UUID]:
        """Account ids by name, compared without legal forms; names of none or of several are absent."""

    async def contacts_by_external_id(self, keys: Collection[str]) -> Mapping[str, UUID]:
        """Contact ids by external id, for imports; unknown keys are absent."""

    async def contacts_by_email(self, addresses: Collection[str]) -> Mapping[str, UUID]:
        """Contact ids by e-mail address; addresses of none or of several are absent."""

    async def account_profiles(self, ids: Collection[UUID]) -> Mapping[UUID, AccountProfile]:
        """What kind of account each is; ids that are unknown or not visible are absent. One statement."""

    async def belongs(self, contact_id: UUID, account_id: UUID) -> bool:
        """Whether the contact has a part in the account, as their first one or a further one."""

    async def preview(self, request: MatchRequest) -> MatchPreview:
        """What `match_or_create` would do; writes nothing."""

    async def match_or_create(self, request: MatchRequest) -> Matched:
        """Find or make an account and a contact; filling never overwrites.

        Writers of the same company wait for each other, so that any number of them at once make one account.
        Raises: `DuplicateFound` where it is unclear which one is meant; `NotFound` for a given id that is not
        visible; `Invalid` for a contact of another account or fields that are not valid.
        """

    async def advance(self, account_id: UUID, stage: str) -> None:
        """Move an account's lifecycle stage forward to `stage`; one that is further on already stays."""


class AccountPanel(Protocol):
    """Port: what a module shows on the 360° view of accounts, in one statement."""

    name: str

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """A JSON-ready value per account; accounts with nothing to show are absent."""


class AccountUser(Protocol):
    """Port: a module whose records belong to accounts or contacts and keep them from being deleted."""

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        """How many live records of each kind refer to the account or contact."""

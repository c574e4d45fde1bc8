"""What other modules may know of customers: accounts and contacts by id and key, matching, pools, and ports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal, Protocol
from uuid import UUID

from pydantic import Field

from app.kernel.duplicates import Candidate
from app.kernel.errors import Conflict, TooManyRequests
from app.kernel.events import Event
from app.kernel.listing import Bindings
from app.kernel.money import Money
from app.kernel.schemas import Input, Output, Page, ShortText


class AccountInUse(Conflict):
    """`used_by` counts what refers to the account."""

    code = "account_in_use"
    title = "Other records belong to this account"


CUSTOMER_COLUMNS: Final[Mapping[str, str]] = {"account": "account_id", "contact": "contact_id"}
"""The column in which a module's records name a customer, by the kind of it."""


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account as others show it; `country` and `language` are None where the actor may not read them."""

    id: UUID
    name: str
    owner_id: UUID | None
    team_id: UUID | None
    lifecycle_stage: str
    country: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class AccountProfile:
    """What kind of account it is; what the actor may not read is None."""

    industry: str | None
    size: str | None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """How an account pays: what it may owe at most (None: no limit), and within how many days of an invoice."""

    limit: Money | None
    payment_terms_days: int | None


@dataclass(frozen=True, slots=True)
class ContactRef:
    """A contact as others show them; `account_id` is their first account."""

    id: UUID
    name: str
    account_id: UUID | None
    email: str | None
    phone: str | None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Reachable:
    """How an account or a contact is reached, and of which accounts they are: to see who is the same."""

    emails: frozenset[str]
    phones: frozenset[str]
    account_ids: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class PhoneMatch:
    """An account or a contact with a telephone number; `account_id` and `account_name` are the contact's first."""

    object: Literal["account", "contact"]
    id: UUID
    name: str
    owner_id: UUID | None
    account_id: UUID | None
    account_name: str | None


@dataclass(frozen=True, slots=True)
class GivenConsent:
    """A channel somebody agreed to be reached on; `source` says where, and `given_at` when."""

    channel: str
    source: str
    note: str | None
    given_at: datetime


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Where letters to an account go, as far as it is known; `country` is an ISO 3166-1 code."""

    address: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None


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
    also replaces the source. A contact must belong to the account. `account_given` and `contact_given` name the
    fields that the actor wrote themselves: a new record is refused for those that their role may not set.
    """

    account: Mapping[str, Any]
    contact: Mapping[str, Any] | None = None
    account_id: UUID | None = None
    contact_id: UUID | None = None
    on_duplicate_account: OnDuplicate = OnDuplicate.ASK
    on_duplicate_contact: OnDuplicate = OnDuplicate.ASK
    overwrite_source: bool = False
    account_given: frozenset[str] = frozenset()
    contact_given: frozenset[str] = frozenset()


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

    def held_account(self, id: UUID, bind: Bindings) -> str:
        """SQL of a query that finds and holds an account as `get_many` does, for another module's statement.

        A row with its `country`, null where the actor may not read that; none without such an account. The tenant is
        `$1`. Raises `Forbidden` for who may not read accounts.
        """

    def holds_account(self, id: UUID, bind: Bindings) -> str:
        """SQL of whether there is such an account, found and held as by `held_account`."""

    async def get_contacts(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContactRef]:
        """The same for contacts."""

    async def account_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Names by id, deleted or not visible ones too: for lists that show a name beside their own rows."""

    async def contact_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """The same for contacts."""

    async def postal_addresses(self, ids: Collection[UUID]) -> Mapping[UUID, PostalAddress]:
        """Addresses of accounts by id, as `get_many`; what the actor may not read is None."""

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

    async def credit_terms(self, ids: Collection[UUID]) -> Mapping[UUID, CreditTerms]:
        """Limit and terms by account, for the rules that go by them: whoever acts, also of accounts not visible."""

    async def reachable(self, ids: Collection[UUID]) -> Mapping[UUID, Reachable]:
        """Of accounts and contacts, for the rules that go by it: whoever acts, also of those not visible."""

    async def by_phone(self, e164: str) -> Sequence[PhoneMatch]:
        """Visible contacts and accounts with this number in E.164, contacts first, by name. One statement.

        All their numbers count, as far as the actor may read them.
        """

    async def belongs(self, contact_id: UUID, account_id: UUID) -> bool:
        """Whether the contact has a part in the account, as their first one or a further one."""

    async def preview(self, request: MatchRequest) -> MatchPreview:
        """What `match_or_create` would do; writes nothing. Raises as it does, but for duplicates."""

    async def match_or_create(self, request: MatchRequest) -> Matched:
        """Find or make an account and a contact; filling never overwrites.

        Writers of the same company wait for each other, so that any number of them at once make one account.
        Raises: `DuplicateFound` where it is unclear which one is meant; `NotFound` for a given id that is not
        visible; `Invalid` for a contact of another account or fields that are not valid.
        """

    async def consented(self, contact_id: UUID, given: Sequence[GivenConsent]) -> None:
        """Keep consents that a contact gave elsewhere; a later statement about the channel stands."""

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


# -- public pools --------------------------------------------------------------------------------------------


class NotInPool(Conflict):
    """Somebody else was first, it went elsewhere, or it never was there."""

    code = "not_in_pool"
    title = "It does not lie in this pool"


class AlreadyPooled(Conflict):
    code = "already_pooled"
    title = "It lies in a pool already"


class RecordClosed(Conflict):
    code = "record_closed"
    title = "It is finished, so nobody could work on it any more"


class NoPool(Conflict):
    code = "no_pool"
    title = "There is no enabled pool for records of this kind"


class PoolDisabled(Conflict):
    code = "pool_disabled"
    title = "This pool is switched off"


class LastEnabledPool(Conflict):
    code = "last_enabled_pool"
    title = "The last enabled pool of its kind stays enabled"


class PoolNotEmpty(Conflict):
    """`records` says how many there are, up to 10,000."""

    code = "pool_not_empty"
    title = "Records lie in this pool"


class HoldingLimitReached(Conflict):
    """Carries `limit`."""

    code = "holding_limit_reached"
    title = "The member has as many of these records as the pool allows"


class ClaimRequestLimitReached(Conflict):
    """Carries `limit`."""

    code = "claim_request_limit_reached"
    title = "The pool allows fewer records in one request"


class ClaimLimitReached(Conflict):
    """Carries `limit` and the local `day` that it counts for."""

    code = "claim_limit_reached"
    title = "You have claimed as many records today as the pool allows"


class FormerOwnerBanned(Conflict):
    """Carries `until`."""

    code = "former_owner_banned"
    title = "Whoever had it last may not claim it yet"


class PoolEmbargo(Conflict):
    """Carries `until`."""

    code = "pool_embargo"
    title = "It came into the pool too short a time ago"


class PoolViewLimitReached(TooManyRequests):
    """Carries `limit` and the local `day` that it counts for."""

    code = "pool_view_limit_reached"
    title = "You have opened as many records of this pool today as it allows"


class RecordPooled(Event):
    """A record went into a pool; `rule` is the recycling rule that fired, and null when somebody released it."""

    pool_id: UUID
    former_owner_id: UUID | None
    reason: str | None
    rule: str | None


class RecordClaimed(Event):
    """A record came out of a pool to an owner."""

    pool_id: UUID
    owner_id: UUID
    former_owner_id: UUID | None


class RecycleReminded(Event):
    """A record will be recycled at `due_at` unless its owner does something."""

    pool_id: UUID
    owner_id: UUID
    rule: str
    due_at: datetime


class AccountPooled(RecordPooled):
    """An account went into a pool."""

    type: ClassVar[str] = "customers.account.pooled.v1"
    object: ClassVar[str] = "account"


class AccountClaimed(RecordClaimed):
    """A member claimed an account from a pool."""

    type: ClassVar[str] = "customers.account.claimed.v1"
    object: ClassVar[str] = "account"


class AccountDistributed(RecordClaimed):
    """An administrator of a pool gave an account to a member."""

    type: ClassVar[str] = "customers.account.distributed.v1"
    object: ClassVar[str] = "account"


class AccountRecycleReminded(RecycleReminded):
    """An account will go into a pool soon."""

    type: ClassVar[str] = "customers.account.recycle_reminded.v1"
    object: ClassVar[str] = "account"


class PoolRelease(Input):
    """Why a record goes back, and into which pool."""

    reason: ShortText = Field(examples=["no budget this year"])
    pool_id: UUID | None = Field(
        None, description="Absent: the first enabled pool of the owner, else the oldest enabled one."
    )


class PoolMovementRead(Output):
    """A record's way into a pool or out of it."""

    id: UUID
    at: datetime
    pool_id: UUID
    object: str
    record_id: UUID
    kind: Literal["released", "recycled", "claimed", "distributed", "assigned"]
    from_owner_id: UUID | None = Field(description="Who had it, since `held_since`.")
    held_since: datetime | None
    to_owner_id: UUID | None
    reason: str | None
    rule: str | None = Field(
        description="The recycling rule that fired, with its days.", examples=["no_follow_up:30"]
    )
    actor_kind: str
    actor_id: UUID
    actor_name: str


class Poolable(Protocol):
    """Port: a record type whose records may lie in pools. Its table has the columns of `kernel.holding`.

    `levels` are the columns by which the days of a recycling rule may differ, each with its values. `won` and
    `closed` are SQL over alias `t`: whether a record counts as won, and whether it is finished, which keeps it out
    of pools and of holding limits.
    """

    object: ClassVar[str]
    levels: ClassVar[Mapping[str, Sequence[str]]]
    won: ClassVar[str]
    closed: ClassVar[str]
    pooled: ClassVar[type[RecordPooled]]
    claimed: ClassVar[type[RecordClaimed]]
    distributed: ClassVar[type[RecordClaimed]]
    reminded: ClassVar[type[RecycleReminded]]

    async def went_in(self, ids: Sequence[UUID]) -> None:
        """Records went into a pool: free what hangs on them."""

    async def came_out(self, owners: Mapping[UUID, tuple[UUID, UUID | None]]) -> None:
        """Records came out of a pool, to these owners and teams: give them what hangs on them."""


class PoolFact(Protocol):
    """Port: something a module knows of records that keeps them with their owner, when a pool says so.

    The names `open_opportunity` and `won` also end the rules `no_opportunity` and `not_won`; several modules may
    answer for one name.
    """

    name: ClassVar[str]

    async def true_of(self, object_name: str, ids: Sequence[UUID]) -> Collection[UUID]:
        """Those of the records of which it is true; one statement."""


class Pools(Protocol):
    """Public pools, for the modules whose records lie in them."""

    async def claim(self, object_name: str, id: UUID) -> None:
        """Claim a record that the actor sees. Raises `NotFound`, `Forbidden`, and what the pool's rules refuse."""

    async def release(self, object_name: str, id: UUID, given: PoolRelease, *, expected_version: int) -> None:
        """Put a record that the actor may change into a pool. Raises `AlreadyPooled`, `NoPool`, `StaleVersion` …"""

    async def put(
        self, object_name: str, pool_id: UUID, ids: Sequence[UUID], *, reason: str
    ) -> Collection[UUID]:
        """Put records into a pool, whoever has them, as an assignment rule does; those that went in."""

    async def enabled(self, object_name: str, ids: Collection[UUID]) -> frozenset[UUID]:
        """Those of these pools that are there, switched on and for this type of record."""

    async def lock(self, object_name: str, id: UUID, *, locked: bool, expected_version: int) -> None:
        """Keep a record from being recycled, or no longer. Raises `NotFound`, `StaleVersion`."""

    async def movements(
        self, object_name: str, id: UUID, *, limit: int, cursor: str | None
    ) -> Page[PoolMovementRead]:
        """The ways of a visible record into pools and out of them, newest first."""

    async def opened(self, object_name: str, id: UUID, pool_id: UUID) -> None:
        """Somebody opens a pooled record. Raises `PoolViewLimitReached`."""

    async def assigned(self, object_name: str, id: UUID, pool_id: UUID, owner_id: UUID | None) -> None:
        """A record left its pool by being given an owner in another way than through the pool: log it."""

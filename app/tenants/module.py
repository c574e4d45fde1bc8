"""What `app.tenants` brings to the product."""

from __future__ import annotations

from app.kernel.limits import PeriodUsage
from app.kernel.people import People
from app.kernel.registry import Module, NotificationKind
from app.tenants.auth.authenticator import open_authenticator
from app.tenants.auth.control import AccessOfTenant
from app.tenants.billing.coupons import CouponRedemption
from app.tenants.billing.entitlements import EntitlementsOfTenant, MeteringOfTenant
from app.tenants.billing.payments import dunning, reactions
from app.tenants.billing.warnings import KIND as USAGE_WARNING
from app.tenants.handlers import NOTIFICATIONS, SUBSCRIPTIONS
from app.tenants.interface import (
    Access,
    Colleagues,
    Entitlements,
    ExchangeRates,
    Members,
    Metering,
    Teams,
    TenantErasure,
    Tenants,
    WorkingTime,
)
from app.tenants.leaving.erasure import WhenDue
from app.tenants.leaving.export import EXPORT
from app.tenants.lifecycle.schedule import SCHEDULES as LIFECYCLE_SCHEDULES
from app.tenants.people.exchange_rates import RatesOfTenant
from app.tenants.people.lookups import Lookups, TeamLookups, TenantLookups
from app.tenants.people.working_time import ColleagueLookups, WorkingTimeOfTenant
from app.tenants.permissions import PERMISSIONS
from app.tenants.privacy import module as privacy
from app.tenants.schedules import SCHEDULES

MODULE = Module(
    name="tenants",
    description="Companies, their people, and how they prove who they are.",
    tags={
        "sign-in": "Signing up, in and out; passwords, second factors and sessions.",
        "me": "Who is asking, and what they may do.",
        "tenant": "The company itself and its settings.",
        "members": "The people of a company, and invitations to join it.",
        "roles": "What people may do, and on whose records.",
        "teams": "Who works with whom; scopes of roles follow the tree.",
        "working-time": "Business calendars, and who is away.",
        "exchange-rates": "What foreign currencies are worth in the company's own, from which day on.",
        "billing": "What plans cost, what the company subscribes to and uses, its invoices and its balance.",
        "api-keys": "Keys for programs, with their own scopes.",
        **privacy.TAG,
        "operator": "For whoever runs the installation, with a key of their own: companies and their accounts.",
    },
    routers=[
        "app.tenants.auth.session_router:router",
        "app.tenants.auth.account_router:router",
        "app.tenants.auth.me:router",
        "app.tenants.people.member_router:router",
        "app.tenants.people.invitation_router:router",
        "app.tenants.people.organisation_router:roles_router",
        "app.tenants.people.organisation_router:permissions_router",
        "app.tenants.people.organisation_router:teams_router",
        "app.tenants.people.organisation_router:tenant_router",
        "app.tenants.leaving.export_router:router",
        *privacy.ROUTERS,
        "app.tenants.people.logo_router:router",
        "app.tenants.people.logo_router:public_router",
        "app.tenants.people.calendar_router:calendars_router",
        "app.tenants.people.calendar_router:absences_router",
        "app.tenants.people.exchange_rate_router:router",
        "app.tenants.auth.key_router:router",
        "app.tenants.operators.router:router",
        "app.tenants.billing.router:router",
        "app.tenants.lifecycle.router:router",
        "app.tenants.billing.payments.router:router",
        "app.tenants.billing.router:plans_router",
        "app.tenants.billing.entitlements_router:router",
        "app.tenants.billing.bill_router:router",
        "app.tenants.auth.well_known:router",
    ],
    tables=(CouponRedemption,),
    interfaces={
        People: Lookups,
        Members: Lookups,
        Teams: TeamLookups,
        Tenants: TenantLookups,
        Colleagues: ColleagueLookups,
        WorkingTime: WorkingTimeOfTenant,
        ExchangeRates: RatesOfTenant,
        Access: AccessOfTenant,
        Entitlements: EntitlementsOfTenant,
        PeriodUsage: EntitlementsOfTenant,
        Metering: MeteringOfTenant,
    },
    ports=[(TenantErasure, WhenDue)],
    permissions=(*PERMISSIONS, *privacy.PERMISSIONS),
    notifications=(
        *NOTIFICATIONS,
        NotificationKind(USAGE_WARNING, "The plan's limits", "套餐用量提醒", mail=True),
    ),
    subscriptions=[*SUBSCRIPTIONS, *reactions.SUBSCRIPTIONS],
    schedules=[*SCHEDULES, *LIFECYCLE_SCHEDULES, *dunning.SCHEDULES, *privacy.SCHEDULES],
    jobs=[EXPORT, *privacy.JOBS, *reactions.JOBS],
    authenticator=open_authenticator,
)

"""The payment provider that the operator's settings name, one per process."""

from __future__ import annotations

from app.kernel.config import Settings
from app.tenants.billing.payments.offline import OfflineProvider
from app.tenants.billing.payments.provider import PaymentProvider


def open_provider(settings: Settings) -> PaymentProvider:
    """Raises: RuntimeError where the settings lack what the provider needs."""
    if settings.payment_provider == "offline":
        return OfflineProvider()
    # Here, for its 30 MB are spared those without Stripe.
    from app.tenants.billing.payments.on_stripe import StripeProvider

    return StripeProvider(settings)

"""Webhooks (Standard Webhooks 1.0.0): endpoints, deliveries made by the relay, and the sender in the worker."""

from app.kernel.webhooks.sender import WebhookSender

__all__ = ["WebhookSender"]

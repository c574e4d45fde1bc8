"""Coupons: what they give, their codes, and how they are tried, reserved and redeemed."""

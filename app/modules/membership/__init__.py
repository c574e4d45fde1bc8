"""Loyalty: programmes, members, tiers, points, coupons, stored value, referrals."""

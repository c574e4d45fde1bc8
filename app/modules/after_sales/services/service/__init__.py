"""Service: entitlements, planned maintenance, and the work that is done."""

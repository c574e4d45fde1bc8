"""Data quality: rules of the tenant's own about what a good record is, kept on writing and reported."""

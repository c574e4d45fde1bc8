"""What one person may ask."""

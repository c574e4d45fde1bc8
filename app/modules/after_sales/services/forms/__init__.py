"""Forms by which customers open cases."""

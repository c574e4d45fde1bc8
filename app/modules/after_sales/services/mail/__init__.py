"""Mails about cases: what is said to customers goes out, and what they answer or ask comes in."""

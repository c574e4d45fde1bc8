"""How bills get paid: providers, payment methods, collecting and dunning."""

"""Cases: what customers ask for, and how it goes on."""

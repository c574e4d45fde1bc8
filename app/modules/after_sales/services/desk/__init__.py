"""The service desk: queues, agents and how cases come to them."""

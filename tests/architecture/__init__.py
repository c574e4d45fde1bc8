"""What imports cannot show about the house: the database catalogue, the mapping, names and contracts."""

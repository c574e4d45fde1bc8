"""Forms that strangers fill in, on pages of ours and on websites: one mechanism for all that is made of them."""

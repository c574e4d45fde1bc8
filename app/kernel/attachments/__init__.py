"""Files that hang on records: whoever may read a record may open them."""

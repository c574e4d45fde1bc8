"""Service after the sale: cases and their deadlines, who takes them, knowledge, assets, work, surveys, calls."""

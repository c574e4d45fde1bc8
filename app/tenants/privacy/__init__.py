"""What one person may ask of a company: to be told what it holds about them, and to be forgotten, with proof."""

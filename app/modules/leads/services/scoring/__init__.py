"""Scoring: what a lead is (fit) and does (behaviour), as points, a score and a grade that explain themselves."""

"""Sharing out jobs among agents with limited capacity, at the least cost: the generalised assignment problem.

A pure unit: no database, no clock of the product's, no module of ours. `problem.py` says what is asked and
answered, `search.py` is the ant colony, `kernels.py` its compiled inner loops, `exact.py` the exact solver that
it is measured against. Nothing here is imported when the API starts: numba and its compiler take a second and
80 MB, and only a worker needs them.
"""

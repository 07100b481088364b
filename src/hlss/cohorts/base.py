"""Cohort: patients → slides → images → tiles, as tables; pixels only on request."""
# (to be filled: see the class signature agreed below)

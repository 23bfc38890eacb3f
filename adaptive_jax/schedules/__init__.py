"""Schedules: the number of updates already made to a scalar."""

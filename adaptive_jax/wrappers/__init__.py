"""Wrappers around any optimizer."""

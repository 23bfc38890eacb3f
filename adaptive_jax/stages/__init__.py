"""Stages that stand in a chain beside a method."""

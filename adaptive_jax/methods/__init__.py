"""Optimizers, one file a method: state, maths, transformation and recipes."""

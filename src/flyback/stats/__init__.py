"""Samples in, figures out: percentiles with bounds.

Takes: sequences of numbers. Gives: figures. Never: reads a file, a clock or a cloud.
Standard library alone: a core install and the agent's bundle can use it.
"""

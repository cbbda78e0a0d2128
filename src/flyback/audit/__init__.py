"""Rules that policies and templates must keep.

Takes: a template, as parsed. Gives: findings, each with its rule and the way to mend it. Never:
calls a cloud.
"""

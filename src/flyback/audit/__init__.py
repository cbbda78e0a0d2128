"""Rules that policies and templates must keep.

Takes: a template, as parsed. Gives: findings, each with its rule and what is wrong.
Never: calls a cloud.
"""

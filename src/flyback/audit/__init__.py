"""Policies and templates in, findings out. Never: calls a cloud."""

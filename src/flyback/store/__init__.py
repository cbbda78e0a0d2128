"""Bytes at URLs: `file://`, `s3://` and `memory://` behind one protocol.

Takes: keys and bytes. Gives: bytes. Never: knows what the bytes mean.
"""

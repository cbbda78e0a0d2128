"""The command line: one thin file for each verb.

Takes: words. Gives: calls of `api`, tables for people, one JSON document for machines, exit codes.
Never: decides what a verb does.
"""

"""Runs on the machine: starts the workload as a child process and brings home what it made.

One file per concern. Takes: launch.json. Gives: events, log, results, one marker. Never: imports a
workload, so that a crash there cannot stop the heartbeat.
"""

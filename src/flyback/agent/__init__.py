"""Runs on the machine: starts the job as a child process and brings home what it made.

    options → services → workbench → attempt (prepare, cells, results) → finish → power off

One file per concern; those that have a time of their own (heartbeat, log, deadline, interruption,
stall) are ticked by `supervise`, the one place that waits. Takes: launch.json. Gives: events, log,
results, one marker whatever happens. Never: imports a workload, so that a crash there cannot stop
the heartbeat.
"""

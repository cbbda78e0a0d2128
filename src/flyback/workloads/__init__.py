"""Parameters in, result lines out. `python -m flyback.workloads NAME --json`.

The same command on a laptop, in a container and under the agent. Never: knows a cloud.
"""

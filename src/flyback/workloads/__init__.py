"""The benchmark runner and the workloads. `python -m flyback.workloads NAME --json`.

Takes: a workload's name and parameters. Gives: lines for people, a Result, raw samples.
Never: knows a cloud; the same command runs on a laptop, in a container and under the agent.
"""

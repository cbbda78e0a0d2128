"""The nouns: what the rooms hand to each other, as frozen data.

Takes: nothing. Gives: JobSpec, Plan, Launch, Event, Marker, Result, Receipt, Certificate, RunPaths,
the clock protocol. Never: touches a cloud or a workload.
"""

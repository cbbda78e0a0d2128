"""From a plan to a run that is over: launch, watch, collect, account, certify, tear down.

Takes: a Plan. Gives: a Launch; then the run's files, its Receipt and its Certificate.
Never: imports the agent; the two meet only through files.
"""

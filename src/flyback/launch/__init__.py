"""Plan in, Launch out; then watch, collect, account for it and prove that nothing is left.

Never: imports the agent. The two meet only through files.
"""

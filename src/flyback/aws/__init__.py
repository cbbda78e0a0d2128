"""Our calls to AWS: one typed class per service, only the calls that flyback makes.

Takes: our arguments. Gives: plain data. Translates every foreign error once, here, and writes each
create call to the ledger before it is made. Never: decides anything.
"""

"""What was measured and what it cost, as people read it.

Takes: result lines, plans, receipts, certificates. Gives: tables, summaries, the runs of a home
folder. Never: measures, prices or asks a cloud.
"""

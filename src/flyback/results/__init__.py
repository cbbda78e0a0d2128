"""What was measured and what it cost, as people read it.

Takes: result lines, plans, receipts, certificates. Gives: tables. Never: measures, prices, or asks
a cloud.
"""

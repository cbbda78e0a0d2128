"""The whole cloud, here: an emulated AWS with a clock, a market and simulated machines.

Takes: the same requests that AWS takes. Gives: the same answers, or "not emulated". Never: reaches
beyond loopback.
"""

"""Loading training data: from the disk, over one connection, over many, from a cache.

Takes: `IoParameters`. Gives: batches that are compared with what was written, and their latencies.
"""

"""What gets deployed, as data: templates, user-data and the agent bundle.

Never: calls a cloud.
"""

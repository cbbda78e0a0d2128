"""What gets deployed, as data: templates, user-data and the agent bundle.

Takes: the packages that are installed here. Gives: CloudFormation templates, archives. Never: calls
a cloud.
"""

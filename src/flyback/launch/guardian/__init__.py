"""The guardian: the function that looks after runs while nobody else does.

Takes: the events of Scheduler, of EventBridge and of EC2. Gives: machines ended past their
deadline, runs relaunched after an interruption or a loss, the terminal marker where the agent could
not write it. Never: touches what does not carry this deployment's tags, or stands on anything but
the standard library and the runtime's own boto3.
"""

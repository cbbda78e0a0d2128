"""IAM of the emulated account: who may do what, and what they are told.

Takes: a call and who signed it. Gives: nothing, or AWS's own refusal; and a record of every
question. Never: changes the account.
"""

from __future__ import annotations

from flyback.rehearsal.iam.judge import Judge

__all__ = ["Judge"]

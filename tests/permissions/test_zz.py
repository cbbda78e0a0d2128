"""x"""
import csv, io
from flyback.audit.iam.footprint import smallest, Place
from flyback.audit.iam.grants import judge_grants, implicit, too_wide, grants
def test_w(evidence):
    place = Place(name="trial", account="123456789012", region="us-east-1")
    user = "arn:aws:iam::123456789012:user/deployer"
    mine = [i for i in evidence.asked if i.principal == user and i.scenario not in evidence.attempts]
    with open("/tmp/deployer.new", "w") as f:
        for w in smallest(mine, place): f.write(f"{w.action},{w.resource},{w.condition}\n")
    v = judge_grants(evidence.policies, evidence.asked)
    with open("/tmp/grants.out", "w") as f:
        for x in v:
            if x.survives: f.write(f"SURVIVES {x.grant}\n")
        f.write(f"{len(v)}\n")
        f.write(str(set(implicit()) - {x.implicit for x in v if x.implicit})+"\n")
        f.write(str([t for p in evidence.policies for t in too_wide(p)])+"\n")
        for k, c in evidence.attempts.items(): f.write(f"{k}: {c} {evidence.messages.get(k, '')[:200] if 'guardian' in k or 'schedule' in k or 'group' in k else ''}\n")
        for i in evidence.asked:
            if not i.allowed and i.scenario not in evidence.attempts: f.write(f"REFUSED {i.scenario} {i.principal} {i.action} {i.resource}\n")

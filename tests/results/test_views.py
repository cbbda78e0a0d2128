from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from flyback.results.views import certificate_view, plan_view, receipt_view, runs_view
from flyback.spec.certificate import Certificate, Check, Leftover
from flyback.spec.job import JobSpec
from flyback.spec.plan import Candidate, Plan, Rejection
from flyback.spec.receipt import CostLine, Receipt, Usage

Screen = Callable[..., str]
Golden = Callable[[str, str], None]
SOURCE = "spot: observed in 2026-06; on-demand: list of 2026-07-20"


def line(item: str, quantity: float, unit: str, unit_usd: float, source: str = "list") -> CostLine:
    """One item."""
    usd = quantity * unit_usd
    return CostLine(
        item=item, quantity=quantity, unit=unit, unit_usd=unit_usd, usd=usd, source=source
    )


def lines(hours: float, machine: str) -> tuple[CostLine, ...]:
    """The items of a run of so many hours."""
    return (
        line("compute", hours, f"h {machine}", 0.2039, SOURCE),
        line("EBS gp3 disk", 100 * hours / 730, "GB-month", 0.08),
        line("public IPv4", hours, "h", 0.005),
        line("S3, kept a month", 1.0, "GB-month", 0.023),
        line("S3 writes, lists", 0.053, "1000 requests", 0.005),
        line("S3 reads", 0.04, "1000 requests", 0.0004),
        line("CloudWatch Logs", 0.05, "GB", 0.50),
        line("ECR image, share", 0.0, "GB-month", 0.0, "the job has no container image"),
    )


def total(items: tuple[CostLine, ...]) -> float:
    """Sum."""
    return sum(item.usd for item in items)


QUOTE = lines(5 / 60, "g4dn.xlarge spot")
USAGE = Usage(
    instance_type="g4dn.xlarge",
    zone="us-east-1a",
    market="spot",
    hours=34 / 60,
    boot_hours=160 / 3600,
    disk_gib=100,
    stored_bytes=2**30,
    log_bytes=2**30 // 20,
    put_requests=53,
    get_requests=40,
)
RECEIPT = Receipt(
    run_id="spectral-1",
    currency="USD",
    region="us-east-1",
    usage=USAGE,
    lines=lines(34 / 60, "g4dn.xlarge spot"),
    total_usd=total(lines(34 / 60, "g4dn.xlarge spot")),
    quote=QUOTE,
    quote_usd=total(QUOTE),
    rehearsed=True,
)


def candidate(name: str, spot: float | None) -> Candidate:
    """A machine with a T4."""
    return Candidate(
        instance_type=name,
        zones=("us-east-1a", "us-east-1b"),
        spot_usd_hour=spot,
        on_demand_usd_hour=0.526,
        price_source=SOURCE,
        gpu="T4",
        gpu_count=1,
        vcpus=4,
        memory_gib=16.0,
    )


PLAN = Plan(
    job=JobSpec(name="spectral", workload="spectral"),
    job_digest="0" * 64,
    region="us-east-1",
    market="spot",
    candidates=(candidate("g4dn.xlarge", 0.2039), candidate("g4dn.2xlarge", None)),
    rejections=(
        Rejection(instance_type="g6.xlarge", reason="has L4, T4 asked for"),
        Rejection(
            instance_type="p3.2xlarge",
            reason="is not offered in us-east-1, nor in any other region of the catalogue",
        ),
    ),
    deadline_hours=0.5,
    deadline_reason="max_hours 0.5 h",
    expected_hours=5 / 60,
    quote=QUOTE,
    quote_usd=total(QUOTE),
    ceiling_usd=0.2745,
)
CERTIFICATE = Certificate(
    scope="spectral-1",
    account="123456789012",
    region="us-east-1",
    at=0.0,
    checks=(
        Check(source="ledger", service="ec2", question="every id in the ledger", seen=2, left=()),
        Check(
            source="sweep",
            service="ec2",
            question="DescribeVolumes, tag flyback:run-id = spectral-1, in any state",
            seen=1,
            left=(),
        ),
    ),
    leftovers=(),
    exceptions=("AWSServiceRoleForEC2Spot: AWS keeps one per account and it is free",),
    clean=True,
)


def test_a_plan_is_shown_so(screen: Screen, golden: Golden) -> None:
    """Machines, quote, ceiling, deadline, assumption and what lost, in 80 columns."""
    golden("plan.txt", screen(plan_view(PLAN, assumption="spectral takes about 2 min per cell")))


def test_a_local_plan_is_two_limits(screen: Screen) -> None:
    """No machines, no items: it costs nothing."""
    local = replace(PLAN, market="local", region="", candidates=(), quote_usd=0.0, ceiling_usd=0.0)
    assert screen(plan_view(local)) == (
        "Plan of spectral: this machine\n"
        "expected 5 min: $0\n"
        "at most  30 min (max_hours 0.5 h): $0\n"
    )


def test_a_receipt_is_shown_beside_its_quote(screen: Screen, golden: Golden) -> None:
    """Item by item with the difference, in 80 columns."""
    golden("receipt.txt", screen(receipt_view(RECEIPT)))


def test_a_receipt_of_two_machines_fits(screen: Screen) -> None:
    """Long names wrap where that does no harm; figures never do."""
    second = line("compute, attempt 2", 123.4567, "h p6-b300.48xlarge on-demand", 142.416)
    drawn = screen(receipt_view(replace(RECEIPT, lines=(*RECEIPT.lines, second))))
    row = next(text for text in drawn.splitlines() if "compute, attempt 2" in text)
    assert "123.4567" in row
    assert "$17,582.21" in row


def test_what_was_quoted_and_not_used_is_shown(screen: Screen) -> None:
    """A line that fell away is a difference as well."""
    drawn = screen(receipt_view(replace(RECEIPT, lines=RECEIPT.lines[1:])))
    row = next(text for text in drawn.splitlines() if text.strip().startswith("compute"))
    assert row.split() == ["compute", "0", "$0", "$0.0170", "-$0.0170"]


def test_a_real_receipt_does_not_speak_of_rehearsal(screen: Screen) -> None:
    """Only a rehearsed one says that nothing was billed."""
    assert "nothing was billed" in " ".join(screen(receipt_view(RECEIPT)).split())
    assert "nothing was billed" not in screen(receipt_view(replace(RECEIPT, rehearsed=False)))


def test_a_receipt_says_what_interruptions_cost(screen: Screen) -> None:
    """Work that was done twice is named; where none was, nothing is said of it."""
    interrupted = replace(RECEIPT, usage=replace(USAGE, lost_work_s=95.0))
    told = " ".join(screen(receipt_view(interrupted)).split())
    assert "interruptions cost 1 min 35 s of its work" in told
    assert "interruptions" not in screen(receipt_view(RECEIPT))


def test_a_local_receipt_is_one_line(screen: Screen) -> None:
    """Nothing is billed here."""
    usage = replace(USAGE, market="local", instance_type=None, zone=None, boot_hours=0.0)
    local = replace(RECEIPT, usage=usage, region="", total_usd=0.0)
    assert screen(receipt_view(local)) == "Receipt: $0; this machine for 34 min\n"


def test_a_clean_certificate_is_shown_so(screen: Screen, golden: Golden) -> None:
    """Every question that was asked, and what stays by design."""
    golden("certificate.txt", screen(certificate_view(CERTIFICATE)))


def test_leftovers_are_shown_with_the_command_that_removes_them(screen: Screen) -> None:
    """Loud, and with a way out."""
    left = Leftover(
        service="ec2",
        kind="volume",
        identifier="vol-0123",
        remedy="aws ec2 delete-volume --volume-id vol-0123",
    )
    drawn = screen(certificate_view(replace(CERTIFICATE, leftovers=(left,), clean=False)))
    assert drawn.startswith("Certificate of spectral-1: 1 left over (account 123456789012")
    assert ("left: ec2 volume vol-0123\n  → aws ec2 delete-volume --volume-id vol-0123\n") in drawn


def test_what_was_not_asked_for_is_shown_as_neither(screen: Screen) -> None:
    """Nothing found is not clean as long as a question is open."""
    doubtful = replace(CERTIFICATE, clean=False, unasked=("alarm: no permission",))
    drawn = screen(certificate_view(doubtful))
    assert drawn.startswith("Certificate of spectral-1: nothing found, 1 kind not asked for (")
    assert "not asked for alarm: no permission" in drawn


def test_disagreeing_sources_are_not_clean(screen: Screen) -> None:
    """Nothing is listed, and still nobody may think that all is well."""
    drawn = screen(certificate_view(replace(CERTIFICATE, clean=False)))
    assert drawn.startswith("Certificate of spectral-1: not clean: the sources disagree")


@dataclass(frozen=True)
class Standing:
    """A run as the list takes it."""

    run_id: str
    engine: str
    cloud: str
    state: str
    machine: str
    usd: float | None


@pytest.mark.parametrize(("usd", "shown"), [(None, "n/a"), (0.1727, "$0.1727")])
def test_runs_are_listed_one_per_line(screen: Screen, usd: float | None, shown: str) -> None:
    """Name, state, place, machine and cost."""
    drawn = screen(
        runs_view([Standing("spectral-1", "ec2", "rehearsal", "SUCCESS", "g4dn.xlarge", usd)])
    )
    assert drawn.splitlines()[3].split() == [
        "spectral-1",
        "SUCCESS",
        "ec2",
        "rehearsal",
        "g4dn.xlarge",
        shown,
    ]

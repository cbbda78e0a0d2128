"""Which of a fleet's errors decides: what holds for every pool, or what may pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback import errors
from flyback.aws.ec2 import FleetAnswer, FleetError
from flyback.launch.tries import most_telling, moves_on

CAPACITY, QUOTA, SUBNET = (
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "InsufficientFreeAddressesInSubnet",
)
CODES = (CAPACITY, QUOTA, SUBNET, "UnfulfillableCapacity", "SpotMaxPriceTooLow", "Odd")
FOR_ALL = ("UnauthorizedOperation", "InvalidAMIID.Unavailable", "OptInRequired", "AuthFailure")


def answer(*pools: tuple[str, str]) -> FleetAnswer:
    """A fleet that gave nothing: instance type and code of each pool."""
    return FleetAnswer(
        fleet_id="fleet-1",
        instance_ids=(),
        instance_type=None,
        subnet_id=None,
        errors=tuple(
            FleetError(code=code, message="no", instance_type=name) for name, code in pools
        ),
    )


@pytest.mark.parametrize(
    ("pools", "kind"),
    [
        ([("a", CAPACITY), ("a", "Odd")], errors.CapacityError),
        ([("a", "Odd"), ("b", CAPACITY)], errors.CapacityError),
        ([("a", SUBNET), ("a", CAPACITY)], errors.CapacityError),
        ([("a", QUOTA), ("b", CAPACITY)], errors.CapacityError),
        ([("a", QUOTA), ("a", CAPACITY)], errors.QuotaError),
        ([("a", QUOTA), ("b", SUBNET)], errors.QuotaError),
        ([("a", SUBNET), ("b", "Odd")], errors.NetworkError),
        ([("a", "Odd"), ("b", "InternalError")], errors.ServiceError),
        ([("", QUOTA)], errors.QuotaError),
    ],
)
def test_what_may_pass_goes_before_what_is_one_pools_own(
    pools: list[tuple[str, str]], kind: type[errors.RefusedError]
) -> None:
    """A type that a quota forbids is out of the question; any other may come free."""
    assert type(most_telling(answer(*pools))) is kind


@given(
    pools=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(CODES)), max_size=6),
    code=st.sampled_from(FOR_ALL),
    place=st.integers(0, 6),
)
def test_what_holds_for_every_pool_stops_wherever_it_stands(
    pools: list[tuple[str, str]], code: str, place: int
) -> None:
    """Permission, account and image are the same for all: no other pool's word outweighs them."""
    told = most_telling(answer(*pools[:place], ("b", code), *pools[place:]))
    assert told.what.startswith(code)
    assert not moves_on(told)


@given(pools=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(CODES)), min_size=1))
def test_tries_go_on_where_a_type_within_its_quota_may_come_free(
    pools: list[tuple[str, str]],
) -> None:
    """However many pools fail for other reasons, and in whatever order."""
    forbidden = {name for name, code in pools if code == QUOTA}
    may_pass = (CAPACITY, "UnfulfillableCapacity", "SpotMaxPriceTooLow")
    open_to = {name for name, code in pools if code in may_pass} - forbidden
    goes_on = moves_on(most_telling(answer(*pools)))
    if open_to or not forbidden:
        assert goes_on == any(code in may_pass for _, code in pools)
    else:
        assert not goes_on

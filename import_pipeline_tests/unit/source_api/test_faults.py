"""The notation of faults, and the number of times that they happen."""

import pytest

from source_api.errors import BadOption
from source_api.faults import Fault, FaultKind, Faults, Target, parse_fault


def item(number, kind, **more):
    return Fault(target=Target.ITEM, number=number, kind=kind, **more)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("17=status:500*2", item(17, FaultKind.STATUS, status=500, times=2)),
        ("18=status:404", item(18, FaultKind.STATUS, status=404)),
        ("19=garbage", item(19, FaultKind.GARBAGE)),
        ("20=hang*1", item(20, FaultKind.HANG, times=1)),
        ("21=drop", item(21, FaultKind.DROP)),
        ("22=body:[1,2]", item(22, FaultKind.BODY, body="[1,2]")),
        ('22=body:{"a": "b=c:d*2"}*3', item(22, FaultKind.BODY, body='{"a": "b=c:d*2"}', times=3)),
        ("22=body:", item(22, FaultKind.BODY, body="")),
        ("23=status:429*1", item(23, FaultKind.STATUS, status=429, retry_after="1", times=1)),
        ("23=status:429:5", item(23, FaultKind.STATUS, status=429, retry_after="5")),
        ("23=status:429:", item(23, FaultKind.STATUS, status=429)),
        ("23=status:503:Wed, 21 Oct 2026 07:28:00 GMT*1",
         item(23, FaultKind.STATUS, status=503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT", times=1)),
        ("page:2=status:500*1", Fault(target=Target.PAGE, number=2, kind=FaultKind.STATUS, status=500, times=1)),
    ],
)  # fmt: skip
def test_faults_are_written_as_the_notation_says(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "17", "=hang", "x=hang", "17=explode", "17=status", "17=status:", "17=status:abc", "17=status:99",
     "17=status:600", "17=hang:5", "17=garbage*", "17=drop*-1", "17=body", "page:=hang", "item:2=hang",
     "17=status:429:a\nb"],
)  # fmt: skip
def test_what_is_no_fault_is_refused_in_a_sentence_with_what_was_expected(text):
    with pytest.raises(
        BadOption, match=r"--fault: expected 'ID=WHAT' or 'page:N=WHAT', WHAT being .*, got "
    ) as refused:
        parse_fault(text)
    assert str(refused.value).endswith(repr(text))


def test_a_fault_with_a_number_of_times_ends_and_the_next_of_its_target_begins():
    faults = Faults(tuple(map(parse_fault, ("17=status:500*2", "17=garbage*1", "18=drop", "page:17=hang"))))
    kinds = [fault and fault.kind for fault in (faults.next(Target.ITEM, 17) for _ in range(4))]
    assert kinds == [FaultKind.STATUS, FaultKind.STATUS, FaultKind.GARBAGE, None]
    assert [faults.next(Target.ITEM, 18) is not None for _ in range(3)] == [True] * 3
    faults.forget()
    assert faults.next(Target.ITEM, 17) == parse_fault("17=status:500*2")

"""Shares of ceilings and of published peaks: which ceiling fits, what is flagged, what stays unknown."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic
from torchgauge.analysis import ceilings as held
from torchgauge.analysis import export, frame
from torchgauge.analysis.ceilings import Ceilings, Peaks, published
from torchgauge.record import CEILING, Run, Work

MEBI = 2**20
SMALL, MAIN = 4 * MEBI, 128 * MEBI
SMALL_RATE, MAIN_RATE = 52.8e9, 13.2e9
"""What `synthetic.ceilings` makes of the CPU's fastest stream in a cache and in memory."""


def run(*cases, devices=("cpu",), card: str | None = None, mig: bool = False, **options) -> Run:
    made = synthetic.run(devices, cases=cases, failures=[], skips=[], with_ceilings=True, **options)
    if card is None:
        return made
    environment = made.header.environment
    cards = [msgspec.structs.replace(one, name=card, mig=mig) for one in environment.accelerators]
    environment = msgspec.structs.replace(environment, accelerators=cards)
    return dataclasses.replace(made, header=msgspec.structs.replace(made.header, environment=environment))


def case(device: str = "cpu", dtype: str | None = "float32"):
    return synthetic.case("a", "b", device, dtype)


def share_of(moved: float, rate: float, one: Run | None = None) -> held.Shares:
    return Ceilings(one or run()).hold(case(), Work(bytes=moved), moved / rate)


# Which ceiling fits


def test_data_that_fit_a_cache_are_held_against_the_cache() -> None:
    shares = share_of(8 * MEBI, SMALL_RATE / 2)
    assert shares.bytes == pytest.approx(0.5, rel=0.01)
    assert shares.ceiling == "update of 4 MiB"


def test_data_that_fit_no_cache_are_held_against_memory() -> None:
    assert share_of(2 * MAIN, MAIN_RATE).ceiling == "update of 128 MiB"
    assert share_of(2 * MAIN, MAIN_RATE).bytes == pytest.approx(1, rel=0.01)
    assert share_of(2 * MAIN - 2, MAIN_RATE).ceiling == "update of 4 MiB"


@given(moved=st.floats(1, 1e12), more=st.floats(1, 1e6))
def test_more_bytes_never_have_a_higher_ceiling(moved: float, more: float) -> None:
    all_of_them = Ceilings(ONE)
    shares = [
        all_of_them.hold(case(), Work(bytes=amount), amount / 1e9).bytes for amount in (moved, moved * more)
    ]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[0] <= shares[1] * (1 + 1e-9)


ONE = run()


def test_flop_are_held_against_the_fastest_product_of_their_dtype_on_their_device() -> None:
    all_of_them = Ceilings(run(devices=("cpu", "cuda:0")))
    for device, dtype, rate in (
        ("cpu", "float32", 1e11),
        ("cpu", "float64", 5e10),
        ("cuda:0", "float32", 2.2e13),
    ):
        shares = all_of_them.hold(case(device, dtype), Work(flop=1e9), 1e9 / (0.25 * rate))
        assert shares.flop == pytest.approx(0.25, rel=0.01)
        assert shares.ceiling.startswith(f"{dtype} matmul, n = ")


def test_flop_are_held_against_products_from_one_a_byte_on_and_bytes_always() -> None:
    ceilings = Ceilings(run(devices=("cpu",)))
    dense = ceilings.hold(case(), Work(flop=4e6, bytes=4e6), 1e-3)
    bound = ceilings.hold(case(), Work(flop=4e6, bytes=4.1e6), 1e-3)
    assert dense.flop is not None
    assert bound.flop is None
    assert dense.bytes is not None
    assert bound.bytes is not None


@pytest.mark.parametrize("dtype", [None, "int64", "complex64"])
def test_a_dtype_without_a_product_has_no_share_and_not_zero(dtype: str | None) -> None:
    shares = Ceilings(run()).hold(case("cpu", dtype), Work(flop=1e9), 1.0)
    assert (shares.ceiling, shares.flop, shares.bytes, shares.peak) == (None, None, None, None)


@pytest.mark.parametrize("work", [Work(), Work(flop=0.0, bytes=0.0), Work(items=3.0)])
def test_a_case_without_work_has_no_share(work: Work) -> None:
    assert Ceilings(run()).hold(case(), work, 1.0) == held.Shares()


def test_the_ceiling_that_is_named_is_the_nearest() -> None:
    work = Work(flop=1e9, bytes=8.0 * MEBI)
    near_flop = Ceilings(run()).hold(case(), work, 1e9 / 0.9e11)
    assert near_flop.ceiling.startswith("float32 matmul")
    assert near_flop.flop > near_flop.bytes
    work = Work(flop=1e3, bytes=8.0 * MEBI)
    assert Ceilings(run()).hold(case(), work, 1e-3).ceiling == "update of 4 MiB"


def test_a_run_without_ceilings_has_no_shares() -> None:
    bare = dataclasses.replace(run(), ceilings=[])
    assert share_of(1e6, 1e9, bare) == held.Shares()


# What is flagged


def test_a_rate_above_its_ceiling_is_flagged_beyond_the_tolerance_and_not_before() -> None:
    assert share_of(2 * MAIN, 1.09 * MAIN_RATE).warnings == []
    (sentence,) = share_of(2 * MAIN, 1.2 * MAIN_RATE).warnings
    assert sentence.startswith("above the measured ceiling: 12")
    assert "update of 128 MiB" in sentence


def uneven(factors: list[float]) -> Run:
    """Make the rounds of the ceilings take longer by factors."""
    one = run()
    lines = [
        msgspec.structs.replace(line, samples=[value * factors[line.round] for value in line.samples])
        for line in one.ceilings
    ]
    return dataclasses.replace(one, ceilings=lines)


def test_a_ceiling_is_held_at_its_fastest_round_since_the_others_were_disturbed() -> None:
    busy = uneven([30, 1, 8, 30, 30])
    ceiling = next(one for one in Ceilings(busy).measured if one.name == "update of 128 MiB")
    assert ceiling.unsure
    assert ceiling.found.value < 0.2 * MAIN_RATE
    assert ceiling.reached == pytest.approx(MAIN_RATE, rel=0.01)
    assert share_of(2 * MAIN, MAIN_RATE, busy).bytes == pytest.approx(1, rel=0.01)


def test_where_a_ceiling_was_disturbed_in_all_rounds_a_case_is_flagged_only_beyond_what_that_cost() -> None:
    one = run()
    fast, slow = 16e-6, 16e-6 * 1.5
    lines = [
        msgspec.structs.replace(line, paces=[slow if line.case.params.get("size") == MAIN else fast])
        for line in one.ceilings
    ]
    lines = [msgspec.structs.replace(line, paces=line.paces * len(line.samples)) for line in lines]
    busy = dataclasses.replace(one, ceilings=lines)
    ceiling = next(one for one in Ceilings(busy).measured if one.name == "update of 128 MiB")
    assert ceiling.slowed == pytest.approx(1.5)
    assert any(sentence.startswith("disturbed") for sentence in ceiling.warnings)
    assert share_of(2 * MAIN, 1.6 * MAIN_RATE, busy).warnings == []
    (sentence,) = share_of(2 * MAIN, 1.7 * MAIN_RATE, busy).warnings
    assert sentence.startswith("above the measured ceiling: 17")


def test_a_ceiling_whose_rounds_agree_is_well_known() -> None:
    assert not any(one.unsure for one in Ceilings(run()).measured)


# Published peaks


def test_names_are_matched_to_the_letter() -> None:
    cards = run(devices=("cpu", "cuda:0")).header.environment.accelerators

    def named(name: str) -> str | None:
        found = published(msgspec.structs.replace(cards[0], name=name))
        return found.chip if isinstance(found, Peaks) else None

    assert named("NVIDIA H200") == "NVIDIA H200 SXM"
    assert named("NVIDIA H100 80GB HBM3") == "NVIDIA H100 SXM"
    assert named("NVIDIA H100 PCIe") == "NVIDIA H100 PCIe"
    for unknown in (
        "NVIDIA H200 NVL",
        "NVIDIA H100",
        "NVIDIA A100-SXM4-40GB",
        "NVIDIA GH200 480GB",
        "",
        "H200",
    ):
        assert named(unknown) is None


def test_a_slice_of_a_card_and_an_unknown_card_have_no_peak_and_a_reason() -> None:
    sliced = Ceilings(run(devices=("cpu", "cuda:0"), card="NVIDIA H200", mig=True))
    assert sliced.peaks == {}
    assert "MIG" in sliced.unknown_peaks["cuda:0"]
    assert "'Example GPU'" in Ceilings(run(devices=("cpu", "cuda:0"))).unknown_peaks["cuda:0"]


@pytest.fixture(scope="module")
def h200() -> Ceilings:
    return Ceilings(run(devices=("cpu", "cuda:0"), card="NVIDIA H200"))


@pytest.mark.parametrize(
    ("dtype", "peak"),
    [
        ("float32", 67e12),
        ("tf32", 494.5e12),
        ("float16", 989e12),
        ("bfloat16", 989e12),
        ("int8", 1979e12),
        ("float8_e4m3fn", 1979e12),
    ],
)
def test_a_rate_above_102_percent_of_the_published_peak_is_impossible(h200, dtype: str, peak: float) -> None:
    for share in (0.5, 1.015):
        shares = h200.hold(case("cuda:0", dtype), Work(flop=1e12), 1e12 / (share * peak))
        assert shares.peak == pytest.approx(share)
        assert not any(text.startswith("impossible") for text in shares.warnings)
    shares = h200.hold(case("cuda:0", dtype), Work(flop=1e12), 1e12 / (1.03 * peak))
    text = f"impossible: 103 % of the published peak in {dtype} of NVIDIA H200 SXM"
    assert any(sentence.startswith(text) for sentence in shares.warnings)


def test_a_dtype_whose_peak_is_not_published_has_no_share_of_it(h200) -> None:
    assert h200.hold(case("cuda:0", "float64"), Work(flop=1e12), 1e-3).peak is None


def test_a_memorys_peak_judges_only_what_fits_no_cache(h200) -> None:
    work = Work(bytes=2.0 * 256 * MEBI)
    seconds = work.bytes / (1.1 * 4.8e12)
    shares = h200.hold(case("cuda:0"), work, seconds)
    assert shares.peak == pytest.approx(1.1)
    assert any("impossible: 110 % of the published peak of its memory" in text for text in shares.warnings)
    cached = Work(bytes=2.0 * 255 * MEBI)
    assert h200.hold(case("cuda:0"), cached, seconds).peak is None


def test_a_ceiling_above_the_published_peak_is_itself_impossible() -> None:
    slow = run(devices=("cpu", "cuda:0"), card="NVIDIA L40S")  # 0.86 TB/s; its main memory does 1.65 here
    marked = {one.name for one in Ceilings(slow).measured if any("impossible" in w for w in one.warnings)}
    assert marked == {f"{name} of 256 MiB" for name in ("copy", "read", "write", "update")}


def test_the_published_peaks_keep_their_sources() -> None:
    text = resources.files("torchgauge.analysis").joinpath("reference-accelerators.json").read_text("utf-8")
    known = json.loads(text)
    assert known["source"]
    assert known["achieved_source"]
    assert all({"fp16", "bf16", "memory"} <= set(chip) for chip in known["accelerators"].values())


# Where the shares go


def test_summaries_and_exports_have_the_shares_and_no_row_for_a_ceiling() -> None:
    at = synthetic.case("matmul", "square", n=512)
    one = run((at, 2 * 512**3 / 5e10, {"flop": 2.0 * 512**3, "bytes": 3.0 * 4 * 512**2}))
    rows = frame.summaries([one])
    assert set(rows["group"]) == {"matmul"}
    time = rows[rows["metric"] == "time"].iloc[0]
    assert time["flop_share"] == pytest.approx(time["flop_per_second"] / 1e11, rel=0.01)
    assert time["ceiling"] == "float32 matmul, n = 512"
    assert rows[rows["metric"] == "first_call"]["flop_share"].isna().all()
    assert set(frame.samples([one])["case"]) == {at.id}
    head, *lines = export.csv(one).decode().splitlines()
    assert {"ceiling", "flop_share", "bytes_share", "peak_share"} <= set(head.split(","))
    assert CEILING + "/" not in "".join(lines)
    benchmarks = json.loads(export.pytest_benchmark(one))["benchmarks"]
    assert [entry["fullname"] for entry in benchmarks] == [at.id]


def test_a_case_that_is_too_fast_says_so_among_its_warnings() -> None:
    at = synthetic.case("matmul", "square", n=512)
    rows = frame.summaries([run((at, 1e-6, {"flop": 2.0 * 512**3}))])
    (sentence,) = rows[rows["metric"] == "time"].iloc[0]["warnings"]
    assert sentence.startswith("above the measured ceiling: ")

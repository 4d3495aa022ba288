"""The page of a run that was resumed says where, in what, and which claims were replaced."""

from recipelang.report.run import _one_line, _sessions


def at(step: int, threads: str, claim: str) -> dict:
    return {"started": f"day {step}", "stage": 1, "step": step, "environment": {"threads": threads}, "claims": [claim]}


def test_a_run_without_a_stop_has_no_row():
    assert _sessions([]) == _sessions([at(0, "1", "expect a")]) == []


def test_what_changed_between_two_starts_is_shown_with_both_values():
    ((name, told),) = _sessions([at(0, "1", "expect a"), at(7, "4", "expect b")])
    assert name == "resumed"
    for part in (
        "at step 7 of stage 2",
        "threads: 1 before, 4 now",
        "claimed before: expect a",
        "claimed now: expect b",
    ):
        assert part in told


def test_settings_are_told_as_words():
    assert _one_line({"cudnn_tf32": "true", "deterministic_algorithms": "false"}) == (
        "cudnn_tf32 true, deterministic_algorithms false"
    )
    assert _one_line(4) == "4"

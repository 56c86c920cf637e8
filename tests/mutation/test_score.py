"""The mutation gate's arithmetic: it must fail where tests do not notice, and where nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mutation.score import BAR, NotAMeasurement, score_of, scores_in, table, together

KILLED, SURVIVED, UNREACHED, TIMEOUT, SEGFAULT = 1, 0, 33, 36, -11


@pytest.mark.parametrize(
    ("codes", "percent", "survivors"),
    [
        ([KILLED, KILLED, KILLED, SURVIVED], 75.0, ("m3",)),
        ([KILLED, TIMEOUT, TIMEOUT, SURVIVED], 75.0, ("m3",)),  # what never ends is noticed
        ([KILLED, UNREACHED], 50.0, ("m1",)),  # what no test reaches is not
        ([SURVIVED], 0.0, ("m0",)),
        ([], 100.0, ()),
    ],
)
def test_the_score_is_what_the_tests_noticed_of_all(
    codes: list[int], percent: float, survivors: tuple[str, ...]
) -> None:
    score = score_of("domain/money.py", {f"m{no}": code for no, code in enumerate(codes)})
    assert (score.percent, score.survivors) == (percent, survivors)


@pytest.mark.parametrize("code", [None, SEGFAULT, 2, 77])
def test_a_mutant_that_was_not_tried_or_crashed_is_no_score(code: int | None) -> None:
    with pytest.raises(NotAMeasurement, match="m1"):
        score_of("domain/money.py", {"m0": KILLED, "m1": code})


def test_the_bar_is_for_all_modules_together(tmp_path: Path) -> None:
    for module, codes in (
        ("domain/a.py", {"a1": SURVIVED}),
        ("domain/b.py", dict.fromkeys("bcdefghi", KILLED)),
    ):
        meta = tmp_path / "mutants" / f"{module}.meta"
        meta.parent.mkdir(parents=True, exist_ok=True)
        meta.write_text(json.dumps({"exit_code_by_key": codes}))
    scores = scores_in(tmp_path, ["domain/a.py", "domain/b.py"])
    assert [score.percent for score in scores] == [0.0, 100.0]
    assert together(scores).percent > BAR
    assert table(scores).splitlines()[-1].split() == ["together", "8", "0", "1", "88.9%"]

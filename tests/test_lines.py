from __future__ import annotations

from collections import Counter

from tests.lines import lines_by_room, table


def test_lines_are_counted_by_room_and_compared() -> None:
    files = {"rlprune/plans/plan.py": "a\nb\n", "envs/a.py": "c\n", "docs/x.py": "d\n", "tests/a/test_b.py": "e\n"}
    new = lines_by_room([*files, "rlprune/plans/notes.md"], files.__getitem__)
    assert new == {"rlprune/plans": 2, "envs": 1, "tests": 1}
    old = Counter({"rlprune/plans": 5, "rlprune": 1})
    assert table(new, old).splitlines()[2:] == [
        *("| rlprune | 0 | 1 | -1 |", "| rlprune/plans | 2 | 5 | -3 |", "| envs | 1 | 0 | +1 |"),
        *("| **product** | 3 | 6 | -3 |", "| tests | 1 | 0 | +1 |"),
    ]

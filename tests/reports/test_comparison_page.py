from visionkit.reports.comparison_page import comparison_page, front


def test_the_front_holds_what_no_other_run_beats_in_both() -> None:
    points = [("slow", 9.0, 0.9), ("fast", 1.0, 0.5), ("worse", 2.0, 0.4), ("equal", 1.0, 0.3), ("middle", 3.0, 0.7)]
    assert front(points) == [(1.0, 0.5), (3.0, 0.7), (9.0, 0.9)]
    assert front([]) == []


def test_the_page_holds_every_cell_and_escapes_it() -> None:
    page = comparison_page(
        ["run", "test miou"], [["runs/a<b>", "0.5"], ["runs/c", "0.7"]], {(1, 1)}, ["a & b", ""],
        {"test miou": [("runs/a<b>", 5.0, 0.5), ("runs/c", 9.0, 0.7)], "test cer": []},
    )  # fmt: skip
    assert "runs/a&lt;b&gt;" in page
    assert "<b>0.7</b>" in page
    assert "<b>0.5</b></td>" not in page
    assert page.count("<li>") == 1
    assert page.count("<svg") == 1
    assert page.count("<circle") >= 2
    assert "http" not in page

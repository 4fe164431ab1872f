import pickle

import pytest

from visionkit.errors import ConfigError, DataError, UnsafeFileError, guard, nearest


def test_one_line_names_code_place_problem_and_fix() -> None:
    error = DataError("D15", "a/b.jpg", "truncated after 81920 bytes", "replace it")
    assert str(error) == "error[D15] a/b.jpg: truncated after 81920 bytes; replace it"


def test_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(UnsafeFileError("U01", "x", "what", "fix")))
    assert (type(error), error.code, error.place, error.what, error.fix) == (UnsafeFileError, "U01", "x", "what", "fix")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("C01", "", "a", "b"), 2),
        (DataError("D01", "", "a", "b"), 3),
        (MemoryError("x"), 7),
        (RuntimeError("CUDA out of memory"), 7),
        (OSError(28, "No space left on device", "f"), 5),
        (ValueError("line one\nline two"), 1),
    ],
)
def test_guard_prints_one_line_and_exits(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISIONKIT_DEBUG", raising=False)

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        guard(fail)
    printed = capsys.readouterr()
    assert caught.value.code == code
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("visionkit: error[")
    assert printed.out == ""


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONKIT_DEBUG", "1")
    with pytest.raises(SystemExit):
        guard(lambda: 1 / 0)
    assert "Traceback" in capsys.readouterr().err


def test_nearest_names_close_ones_or_all() -> None:
    assert nearest("resnt18", ["resnet18", "vit_tiny"]) == "did you mean resnet18?"
    assert nearest("zzz", ["b", "a"]) == "choose from a, b"

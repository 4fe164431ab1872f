"""Lists of classes: what is read, and which mistakes are told."""

import json
from pathlib import Path

import pytest

from visionkit.datasets.classes import read_classes
from visionkit.errors import DataError

NAMED = "- {name: sky, color: [1, 2, 3]}\n- {name: road, color: '#0a0B0c'}\n"


def test_names_from_yaml(tmp_path):
    (tmp_path / "classes.yaml").write_text("- sky\n- road\n- 7\n")
    classes = read_classes(None, tmp_path)
    assert classes.names == ("sky", "road", "7")
    assert classes.colors == ()


def test_colors_from_yaml_and_json(tmp_path):
    (tmp_path / "mine.yaml").write_text(NAMED)
    (tmp_path / "mine.json").write_text(
        json.dumps([{"name": "sky", "color": [1, 2, 3]}, {"name": "road", "color": "#0a0b0c"}])
    )
    for name in ("mine.yaml", "mine.json"):
        classes = read_classes(tmp_path / name, Path("elsewhere"))
        assert classes.names == ("sky", "road")
        assert classes.colors == ((1, 2, 3), (10, 11, 12))


def test_list_from_the_command_line(tmp_path):
    assert read_classes(["a", "b"], tmp_path).names == ("a", "b")


def test_missing_list_says_what_to_write(tmp_path):
    with pytest.raises(DataError) as caught:
        read_classes(None, tmp_path)
    assert caught.value.code == "D29"
    assert caught.value.place == str(tmp_path / "classes.yaml")
    assert "- road" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "list of classes"),
        ("sky: 1\n", "list of classes"),
        ("- sky\n- {road\n", "not valid"),
        ("- sky\n- no\n", "False"),
        ("- sky\n- {title: road}\n", "no class"),
        ("- sky\n- [a]\n", "no class"),
        ("- {name: sky, color: [1, 2, 300]}\n", "no colour"),
        ("- {name: sky, color: [1, 2]}\n", "no colour"),
        ("- {name: sky, color: red}\n", "no colour"),
        ("- {name: sky, color: '#zzzzzz'}\n", "no colour"),
        ("- {name: sky, color: [1, 2, 3]}\n- road\n", "only 1 of 2"),
        ("- sky\n- sky\n", "twice"),
        ("- {name: a, color: [1, 2, 3]}\n- {name: b, color: [1, 2, 3]}\n", "twice"),
        ("\x00", "not valid"),
    ],
)
def test_mistakes(tmp_path, text, word):
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(DataError, match=word) as caught:
        read_classes(None, tmp_path)
    assert caught.value.code == "D29"

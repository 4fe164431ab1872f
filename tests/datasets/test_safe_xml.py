from pathlib import Path

import pytest

from visionkit.datasets import safe_xml
from visionkit.datasets.safe_xml import attribute, elements, parse_xml
from visionkit.errors import DataError


def test_xml_without_entities_files_or_network(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><a>&x;</a>'
    (tmp_path / "a.xml").write_text(outside)
    assert "secret" not in "".join(parse_xml(tmp_path / "a.xml").itertext())
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    (tmp_path / "b.xml").write_text(f"<!DOCTYPE a [{laughs}]><a>&l9;</a>")
    with pytest.raises(DataError, match=r"D126.*entity"):
        parse_xml(tmp_path / "b.xml")


def test_xml_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a><b></a>")
    with pytest.raises(DataError, match=r"D126.*a\.xml.*line 1"):
        parse_xml(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text("")
    with pytest.raises(DataError, match="D12"):
        parse_xml(tmp_path / "a.xml")


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "huge.xml").open("wb") as file:
        file.truncate(safe_xml.MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("was read"))
    with pytest.raises(DataError, match="D134"):
        parse_xml(tmp_path / "huge.xml")


def test_elements_of_any_namespace_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<a xmlns="urn:x"><b n="1"/><c><b/></c></a>')
    root = parse_xml(tmp_path / "a.xml")
    assert [attribute(element, "n") for element in elements(root, "b")] == ["1", ""]

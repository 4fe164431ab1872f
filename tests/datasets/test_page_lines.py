"""Pages cut into lines: outlines, base lines, pictures, splits, and pages that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visionkit.datasets.alto import Alto, parse_alto
from visionkit.datasets.check import check
from visionkit.datasets.page_lines import Region, cut_out, points
from visionkit.datasets.page_xml import PageXml, parse_page
from visionkit.datasets.text_rules import TextRules
from visionkit.datasets.text_size import ToHeight, size_groups
from visionkit.errors import ConfigError, DataError

ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#">
<Description><MeasurementUnit>{unit}</MeasurementUnit>
<sourceImageInformation><fileName>C:\\scans\\{picture}</fileName></sourceImageInformation></Description>
<Layout><Page><PrintSpace><TextBlock>
<TextLine ID="l0" HPOS="10" VPOS="5" WIDTH="30" HEIGHT="10" BASELINE="10,13 40 13">
  <Shape><Polygon POINTS="10,5 40,5 40,15 10,15"/></Shape>
  <String CONTENT="zwei"/><SP/><String CONTENT="Worte" WC="0.5"/><HYP CONTENT="-"/></TextLine>
<TextLine ID="l1" HPOS="10" VPOS="20" WIDTH="30" HEIGHT="10"><String CONTENT=""/></TextLine>
<TextLine ID="l2" HPOS="10" VPOS="20" WIDTH="30" HEIGHT="10"/>
<TextLine ID="l3"><String CONTENT="nirgends"/></TextLine>
<TextLine ID="l4" HPOS="500" VPOS="20" WIDTH="30" HEIGHT="10"><String CONTENT="fern"/></TextLine>
</TextBlock></PrintSpace></Page></Layout></alto>"""
PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{picture}" imageWidth="60" imageHeight="40"><TextRegion>
<TextLine id="l0"><Coords points="10,5 40,5 40,15 10,15"/><Baseline points="10,13 40,13"/>
  <Word><TextEquiv><Unicode>nicht</Unicode></TextEquiv></Word>
  <TextEquiv index="1"><Unicode>zweitens</Unicode></TextEquiv>
  <TextEquiv index="0"><Unicode>zwei Worte-</Unicode></TextEquiv></TextLine>
<TextLine id="l1"><Coords><Point x="10" y="20"/><Point x="40" y="20"/><Point x="40" y="30"/></Coords>
  <TextEquiv><Unicode></Unicode></TextEquiv></TextLine>
<TextLine id="l2"><Coords points="10,20 40,20 40,30"/></TextLine>
<TextLine id="l3"><TextEquiv><Unicode>nirgends</Unicode></TextEquiv></TextLine>
<TextLine id="l4"><Coords points="500,5 520,5 520,9"/><TextEquiv><Unicode>fern</Unicode></TextEquiv></TextLine>
</TextRegion></Page></PcGts>"""
LAYOUTS = pytest.mark.parametrize(("layout", "xml"), [(Alto, ALTO), (PageXml, PAGE)])
RULES = TextRules(characters="".join(map(chr, range(32, 127))))


def put(folder: Path, xml: str, name: str = "p", unit: str = "pixel") -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    page = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    Image.fromarray(page).save(folder / f"{name}.png")
    (folder / f"{name}.xml").write_text(xml.format(picture=f"{name}.png", unit=unit))
    return page


@LAYOUTS
def test_lines_are_cut_out_of_their_page(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    page = put(tmp_path, xml)
    lines = layout(tmp_path, "train", fractions=(1, 0, 0), text=RULES)
    sample = lines[0]
    assert (sample["key"], sample["text"]) == ("p__000", "zwei Worte-")
    inside = sample["image"][0].numpy()
    assert inside.shape == lines.size(0) == (10, 30)
    assert (inside == page[5:15, 10:40]).mean() > 0.9  # all but the outline's own last row and column
    box = layout(tmp_path, "train", fractions=(1, 0, 0), text=RULES, cut="box")
    assert (box[0]["image"][0].numpy() == page[5:15, 10:40]).all()


@LAYOUTS
def test_what_is_missing_is_found(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    put(tmp_path, xml)
    found = [
        (one.code, one.severity, one.key) for one in check(layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0)))
    ]
    assert found == [
        ("D129", "warning", ""),
        ("D117", "warning", "p__001"),
        ("D128", "error", "p__003"),
        ("D128", "error", "p__004"),
    ]


@LAYOUTS
def test_pages_that_cannot_be_used_lose_only_themselves(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    put(tmp_path / "good", xml)
    put(tmp_path, xml, "orphan")
    (tmp_path / "orphan.png").unlink()
    (tmp_path / "bad.xml").write_text("<alto><Page>")
    (tmp_path / "other.xml").write_text("<html/>")
    (tmp_path / "words.xml").write_text(xml.format(picture="p.png", unit="pixel").replace("10,5 40,5", "10,a 40,5"))
    lines = layout(tmp_path, "train", text=RULES, fractions=(1, 0, 0))
    found = {one.key: one.code for one in check(lines) if one.severity == "error" and "good" not in one.key}
    assert found == {"bad__page": "D126", "other__page": "D126", "words__page": "D126", "orphan__page": "D127"}


def test_other_units_are_refused(tmp_path: Path) -> None:
    put(tmp_path, ALTO, unit="mm10")
    with pytest.raises(DataError, match=r"D127.*mm10"):
        parse_alto(tmp_path / "p.xml")


def test_pictures_above_or_in_a_folder_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, PAGE)
    (tmp_path / "page").mkdir()
    (tmp_path / "p.xml").rename(tmp_path / "page/p.xml")
    assert len(PageXml(tmp_path, "train", text=RULES, fractions=(1, 0, 0))[0]["image"]) == 1
    (tmp_path / "scans").mkdir()
    (tmp_path / "p.png").rename(tmp_path / "scans/p.png")
    lines = PageXml(tmp_path, "train", text=RULES, fractions=(1, 0, 0), pictures="scans")
    assert lines[0]["image"].shape == (1, 10, 30)


def test_lines_of_a_page_stay_in_one_split(tmp_path: Path) -> None:
    for number in range(12):
        put(tmp_path, PAGE, f"page__{number}")
    sets = [PageXml(tmp_path, split, text=RULES, fractions=(0.4, 0.3, 0.3)) for split in ("train", "val", "test")]
    pages = [{lines.key(index).rpartition("__")[0] for index in range(len(lines))} for lines in sets]
    assert all(pages)
    assert sum(map(len, pages)) == len(set.union(*pages)) == 12
    assert sum(map(len, sets)) == 12 * 4


def test_what_is_outside_the_outline_takes_the_colour_of_the_paper() -> None:
    page = np.full((30, 30, 1), 7, dtype=np.uint8)
    page[5:25, 5:25] = 200
    triangle = Region(((5, 5), (24, 5), (5, 24)))
    cut = cut_out(page, triangle, along_polygon=True)
    assert cut is not None
    assert (cut == 200).all()
    page[20:, 20:] = 0  # a neighbour's ink in the box, outside the outline
    assert (cut_out(page, triangle, along_polygon=True) == 200).all()
    assert (cut_out(page, triangle, along_polygon=False) == 0).any()
    assert cut_out(page, Region(((-5, -5), (-2, -2))), along_polygon=True) is None


@pytest.mark.parametrize("slope", [-0.25, 0.25])
def test_straightened_lines_are_level(slope: float) -> None:
    page = np.full((80, 120, 1), 220, dtype=np.uint8)
    x = np.arange(10, 110)
    y = np.round(40 + slope * (x - 60)).astype(int)
    page[y, x] = page[y + 1, x] = 0
    baseline = tuple((float(a), float(b)) for a, b in zip(x[::10], y[::10], strict=True))
    region = Region(((10, 10), (110, 10), (110, 70), (10, 70)), baseline)
    level = cut_out(page, region, along_polygon=False, straighten=True)
    assert level is not None
    rows = np.flatnonzero((level[..., 0] < 110).any(1))
    assert rows[-1] - rows[0] <= 3
    assert cut_out(page, Region(region.polygon), along_polygon=False, straighten=True).shape == (60, 100, 1)


def test_points_as_they_are_written() -> None:
    assert points("1,2 3,4") == points("1 2 3 4") == ((1, 2), (3, 4))
    assert points("") == ()
    for wrong in ("1 2 3", "a,b"):
        with pytest.raises(ValueError, match=r"points|could not convert"):
            points(wrong)


@pytest.mark.parametrize(
    ("layout", "xml", "old", "new"),
    [
        (Alto, ALTO, "10,5 40,5", "nan,5 40,5"),
        (Alto, ALTO, 'HPOS="10"', 'HPOS="nan"'),
        (PageXml, PAGE, "10,5 40,5", "nan,5 40,5"),
        (PageXml, PAGE, 'x="10"', 'x="inf"'),
    ],
)
def test_places_that_are_nowhere(tmp_path: Path, layout: type[Alto], xml: str, old: str, new: str) -> None:
    put(tmp_path, xml.replace(old, new))
    (found,) = check(layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0)))
    assert found.code == "D126"


@LAYOUTS
def test_lines_without_a_place_have_no_size(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    put(tmp_path, xml)
    lines = layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0))
    with pytest.raises(DataError, match="D128"):
        lines.size(2)
    groups = size_groups(lines, [ToHeight(32)], 64)
    assert [place for place, group in enumerate(groups) if group == 0] == [2]


def test_lines_from_top_to_bottom_are_not_levelled() -> None:
    page = np.random.default_rng(0).integers(0, 256, (400, 20, 1), dtype=np.uint8)
    region = Region(((0, 0), (20, 0), (20, 400), (0, 400)), ((9, 0), (10, 400)))
    assert np.array_equal(cut_out(page, region, along_polygon=False, straighten=True), page)


def test_readings_of_a_page(tmp_path: Path) -> None:
    put(tmp_path, PAGE)
    page = parse_page(tmp_path / "p.xml")
    assert [line.text for line in page.lines] == ["zwei Worte-", "", None, "nirgends", "fern"]
    assert page.lines[0].region is not None
    assert page.lines[0].region.baseline == ((10, 13), (40, 13))
    with pytest.raises(ConfigError, match="C185"):
        PageXml(tmp_path, "train", cut="circle")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="D124"):
        PageXml(tmp_path / "no", "train")

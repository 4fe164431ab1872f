"""Pages cut into lines: outlines, base lines, pictures, splits, and pages that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visionkit.datasets.alto import Alto, parse_alto
from visionkit.datasets.check import check
from visionkit.datasets.line_cuts import Region, cut_out, cut_size
from visionkit.datasets.page_lines import points
from visionkit.datasets.page_xml import PageXml, parse_page
from visionkit.datasets.text_rules import TextRules
from visionkit.datasets.text_size import ToHeight, size_groups
from visionkit.errors import ConfigError, DataError

ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#">
<Description><MeasurementUnit>{unit}</MeasurementUnit>
<sourceImageInformation><fileName>C:\\scans\\{picture}</fileName></sourceImageInformation></Description>
<Layout><Page WIDTH="60" HEIGHT="40"><PrintSpace><TextBlock>
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
    assert sum(map(len, sets)) == 12 * 3


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
    for without_outline_or_outside in (1, 2):
        with pytest.raises(DataError, match="D128"):
            lines.size(without_outline_or_outside)
    groups = size_groups(lines, [ToHeight(32)], 64)
    assert [place for place, group in enumerate(groups) if group == 0] == [1, 2]


def test_lines_from_top_to_bottom_are_not_levelled() -> None:
    page = np.random.default_rng(0).integers(0, 256, (400, 20, 1), dtype=np.uint8)
    region = Region(((0, 0), (20, 0), (20, 400), (0, 400)), ((9, 0), (10, 400)))
    assert np.array_equal(cut_out(page, region, along_polygon=False, straighten=True), page)


def test_readings_of_a_page(tmp_path: Path) -> None:
    put(tmp_path, PAGE)
    page = parse_page(tmp_path / "p.xml")
    assert [line.text for line in page.lines] == ["zwei Worte-", None, None, "nirgends", "fern"]
    assert page.lines[0].region is not None
    assert page.lines[0].region.baseline == ((10, 13), (40, 13))
    assert page.size == (40, 60)
    with pytest.raises(ConfigError, match="C185"):
        PageXml(tmp_path, "train", cut="circle")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="D124"):
        PageXml(tmp_path / "no", "train")


@pytest.mark.parametrize("blank", ["", "  \n "])
@LAYOUTS
def test_a_blank_text_is_no_transcription(tmp_path: Path, layout: type[Alto], xml: str, blank: str) -> None:
    for written in ("zwei Worte-", "zwei", "Worte"):  # nor is one of which only the white space is left
        xml = xml.replace(f">{written}<", f">{blank}<").replace(f'"{written}"', f'"{blank}"')
    put(tmp_path, xml.replace('CONTENT="-"', 'CONTENT=""'))
    lines = layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0))
    assert [lines.text(index) for index in range(len(lines))] == ["nirgends", "fern"]
    (counted,) = (one for one in check(lines) if one.code == "D129")
    assert "3 of 5 lines" in counted.what


@LAYOUTS
def test_outlines_are_scaled_to_a_copy_of_the_page(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    page = put(tmp_path / "large", xml)
    Image.fromarray(page.repeat(3, 0).repeat(3, 1)).save(tmp_path / "large/p.png")
    lines = layout(tmp_path / "large", "train", 1, RULES, cut="box", fractions=(1, 0, 0))
    assert (lines[0]["image"][0].numpy() == page[5:15, 10:40].repeat(3, 0).repeat(3, 1)).all()
    assert lines.size(0) == (30, 90)


def test_base_lines_are_scaled_too_and_sizes_may_be_rounded(tmp_path: Path) -> None:
    put(tmp_path, PAGE.replace('imageWidth="60" imageHeight="40"', 'imageWidth="599" imageHeight="401"'))
    lines = PageXml(tmp_path, "train", text=RULES, fractions=(1, 0, 0))
    assert lines.size(0) == (2, 4)  # 10 to 40 are the columns 1.0017 to 4.007, 5 to 15 the rows 0.5 to 1.5
    region = parse_page(tmp_path / "p.xml").lines[0].region
    assert region is not None
    assert np.allclose(region.scaled(0.1, 0.2).baseline, [(1, 2.6), (4, 2.6)])
    assert np.allclose(region.scaled(0.1, 0.2).polygon, np.array(region.polygon) * (0.1, 0.2))


@LAYOUTS
def test_a_picture_that_the_outlines_do_not_fit_loses_its_page(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    put(tmp_path, xml, "good")
    page = put(tmp_path, xml, "turned")
    Image.fromarray(page.T).save(tmp_path / "turned.png")
    lines = layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0))
    (finding,) = (one for one in check(lines) if "turned" in one.path)
    assert (finding.code, finding.severity) == ("D147", "error")
    assert "60 x 40" in finding.what
    assert "40 x 60" in finding.what
    assert {lines.key(index) for index in range(len(lines))} >= {"good__000", "turned__page"}
    assert lines[0]["key"] == "good__000"


@pytest.mark.parametrize(("width", "height"), [("0", "0"), ("60", ""), ("nan", "40"), ("wide", "40"), ("30", "-20")])
@LAYOUTS
def test_sizes_that_say_nothing_change_nothing(
    tmp_path: Path, layout: type[Alto], xml: str, width: str, height: str
) -> None:
    for across, down in (("WIDTH", "HEIGHT"), ("imageWidth", "imageHeight")):
        xml = xml.replace(f'{across}="60" {down}="40"', f'{across}="{width}" {down}="{height}"')
    put(tmp_path, xml)
    assert layout.parse(tmp_path / "p.xml").size is None
    assert layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0)).size(0) == (10, 30)


@LAYOUTS
def test_a_damaged_picture_is_a_fault_of_its_lines(tmp_path: Path, layout: type[Alto], xml: str) -> None:
    put(tmp_path, xml)
    (tmp_path / "p.png").write_bytes(b"no picture")
    lines = layout(tmp_path, "train", 1, RULES, fractions=(1, 0, 0))
    assert [lines.examine(index)[1][0].code for index in range(3)] == ["D13", "D128", "D13"]
    with pytest.raises(DataError, match="D13"):
        lines.size(0)


def test_tiny_lines_of_one_page_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path, PAGE.replace("500,5 520,5 520,9", "5,5 8,5 8,8").replace("40,5 40,15 10,15", "13,5 13,8 10,8"))
    lines = PageXml(tmp_path, "train", text=RULES, fractions=(1, 0, 0))
    found = [one.path for one in check(lines) if one.code == "D34"]
    assert found == [f"{tmp_path / 'p.png'}, p__000", f"{tmp_path / 'p.png'}, p__004"]


def test_only_folders_name_splits(tmp_path: Path) -> None:
    for name in ("train", "val", "test", "other"):
        put(tmp_path, PAGE, name)
    lines = PageXml(tmp_path, "train", text=RULES, fractions=(1, 0, 0))
    assert len({lines.key(index).partition("__")[0] for index in range(len(lines))}) == 4
    for split in ("train", "val"):
        put(tmp_path / "sorted" / split, PAGE, "page")
    assert [len(PageXml(tmp_path / "sorted", split, text=RULES)) for split in ("train", "val", "test")] == [3, 3, 0]


@pytest.mark.parametrize("slope", [-0.25, 0.25])
def test_a_straightened_line_is_as_high_as_its_outline(slope: float) -> None:
    page = np.full((80, 120, 1), 220, dtype=np.uint8)
    for x in range(10, 110):  # a band of ink, 12 pixels high
        top = round(34 + slope * (x - 60))
        page[top : top + 12, x] = 0
    rise = 50 * slope
    polygon = ((10, 34 - rise), (110, 34 + rise), (110, 46 + rise), (10, 46 - rise))
    baseline = ((10.0, 44 - rise), (110.0, 44 + rise))
    level = cut_out(page, Region(polygon, baseline), along_polygon=False, straighten=True)
    assert level is not None
    assert level.shape[1] == 100
    assert 12 <= level.shape[0] <= 14  # before: 12 and the 25 that the line rises, twice
    assert ((level < 110).sum(0) >= 11).all()  # and no ink was cut off
    corners = ((10, 10), (110, 10), (110, 70), (10, 70))
    box = cut_out(page, Region(corners, baseline), along_polygon=True, straighten=True)
    assert box is not None
    assert box.shape == (60 + 25, 100, 1)  # nobody knows where in the box the line is


def test_sizes_are_told_without_a_picture() -> None:
    rng = np.random.default_rng(0)
    page = np.zeros((60, 90, 1), dtype=np.uint8)
    seen = set()
    for _ in range(400):
        polygon = tuple(map(tuple, rng.normal((45, 30), 30, (rng.integers(1, 7), 2)).tolist()))
        baseline = tuple(map(tuple, rng.normal((45, 30), (40, 15), (rng.integers(0, 4), 2)).tolist()))
        for straighten in (False, True):
            cut = cut_out(page, Region(polygon, baseline), rng.random() < 0.5, straighten)
            size = cut_size((60, 90), Region(polygon, baseline), straighten)
            assert size == (None if cut is None else cut.shape[:2])
            seen.add(size)
    assert None in seen
    assert len(seen) > 100


@LAYOUTS
@pytest.mark.parametrize("straighten", [False, True])
def test_sizes_of_lines_that_leave_their_page(tmp_path: Path, layout: type[Alto], xml: str, straighten: bool) -> None:
    put(tmp_path, xml.replace("10,5 40,5 40,15 10,15", "-9,-5 75,9 75,19 -9,5").replace("10,13", "10,9"))
    lines = layout(tmp_path, "train", 1, RULES, straighten=straighten, fractions=(1, 0, 0))
    assert lines.size(0) == lines[0]["image"].shape[1:]
    assert lines.size(0)[1] == 60

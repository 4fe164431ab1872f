"""The task with both decoders and all codes: losses, outputs that are always tables, metrics, pictures."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from visionkit.datasets.collate import collate
from visionkit.datasets.pubtabnet import PubTabNet
from visionkit.datasets.transforms import Resize
from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.decoders.cell_boxes import CellBoxes
from visionkit.decoders.cell_columns import ColumnCTC
from visionkit.decoders.cell_views import BoxView, WholeView
from visionkit.decoders.edd import TableLSTM
from visionkit.decoders.fpn import FPN
from visionkit.decoders.table_places import PlacedDecoder
from visionkit.decoders.table_reader import TableReader
from visionkit.decoders.table_transformer import TableTransformer
from visionkit.errors import ConfigError
from visionkit.generation.beam import beam
from visionkit.generation.greedy import greedy
from visionkit.generation.result import Decoded
from visionkit.generation.speculative import speculative
from visionkit.labels import Cell, Table, TableTokens
from visionkit.layers.grid_memory import GridMemory
from visionkit.losses.tables import Stages
from visionkit.metrics.teds.metric import teds_metrics
from visionkit.metrics.teds.teds import Limits
from visionkit.network import Network
from visionkit.tasks.table_targets import drawn
from visionkit.tasks.tables import TableRecognition
from visionkit.text.batches import from_code_points, to_code_points
from visionkit.text.table_fill import filled
from visionkit.text.table_grid import grid_of
from visionkit.text.table_html import parse_table, table_html
from visionkit.text.table_tokens import HtmlCode, MergedCode, OtslCode
from visionkit.types import Monitor

LSTM = partial(TableLSTM, hidden=10, embedding=4, attention=6)
TRANSFORMER = partial(TableTransformer, width=12, depth=1, heads=2, hidden=12)
LABELS = TableTokens(
    ("<thead>", "</thead>", "<tbody>", "</tbody>", "<tr>", "</tr>", "<td>", "</td>", "<td", ">", ' colspan="2"'),
    ("a", "b", "<b>", "</b>"),
)
CODES = [HtmlCode(), MergedCode(), OtslCode()]


class TinyEncoder(nn.Module):
    """Two maps, strides 2 and 4."""

    channels, strides, in_chans, spatial_dims = (4, 6), (2, 4), 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 2, stride=2), nn.Conv2d(4, 6, 2, stride=2)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first = self.first(image).relu()
        return [first, self.second(first).relu()]


def make(
    decoder=LSTM,
    view=None,
    labels: TableTokens | None = LABELS,
    seed: int = 0,
    columns=None,
    places=None,
    **options,
) -> Network:
    torch.manual_seed(seed)
    reader = partial(
        TableReader,
        neck=partial(FPN, width=8, stride=2),
        grid=partial(GridMemory, stride=4, width=10),
        structure=decoder,
        boxes=partial(CellBoxes, hidden=8),
        view=view or partial(BoxView, size=(2, 4), width=8),
        cells=decoder,
        columns=columns,
        places=places,
    )
    settings = {"structure": greedy, "content": greedy, "code": HtmlCode(), "metrics": teds_metrics}
    settings |= {"max_structure": 40, "max_content": 5, **options}
    return Network(TinyEncoder(), {"tables": partial(TableRecognition, decoder=reader, **settings)}, {"table": labels})


def table(rows: int = 2, columns: int = 2, box: bool = True) -> Table:
    structure = ["<tbody>", *["<tr>", *["<td>", "</td>"] * columns, "</tr>"] * rows, "</tbody>"]
    cells = []
    for row in range(rows):
        for column in range(columns):
            place = (8.0 * column, 6.0 * row, 8.0 * column + 7, 6.0 * row + 5) if box else None
            cells.append(Cell(("a",) * (1 + column % 3), place) if row or column else Cell())
    return Table(tuple(structure), tuple(cells))


def batch_of(*tables: Table, height: int = 16, width: int = 24):
    random = torch.Generator().manual_seed(0)
    image = torch.randint(256, (3, height, width), generator=random, dtype=torch.uint8)
    return collate([{"key": str(n), "image": image, "table": table} for n, table in enumerate(tables)])


EMPTY = Table((), ())


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("decoder", "view"), [(LSTM, None), (LSTM, WholeView), (TRANSFORMER, None)])
@pytest.mark.parametrize(
    "tables", [(table(), table(1, 3)), (EMPTY, EMPTY), (table(1, 1), EMPTY), (table(box=False),), (table(1, 60),)]
)
def test_loss_is_finite_and_reaches_every_weight(code, decoder, view, tables):
    network = make(decoder, view, code=code, max_structure=200).train()
    terms = network.loss(batch_of(*tables))["tables"]
    assert set(terms) == {"structure", "cells", "boxes", "filled"}
    total = sum(terms.values())
    assert torch.isfinite(total)
    total.backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())


@pytest.mark.parametrize("decoder", [LSTM, TRANSFORMER])
def test_cells_of_all_lengths_at_once_cost_what_they_cost_by_length(decoder, monkeypatch):
    known = table(2, 3)
    lengths = (30, 1, 12, 4, 9, 70)
    cells = tuple(
        Cell(("a", "b") * (n // 2) + ("a",) * (n % 2), cell.box) for n, cell in zip(lengths, known.cells, strict=True)
    )
    batch = batch_of(Table(known.structure, cells))
    network = make(decoder, max_content=60).eval()
    grouped = network.loss(batch)["tables"]["cells"]
    monkeypatch.setattr("visionkit.tasks.tables.by_length", lambda rows: [torch.arange(len(rows))])
    torch.testing.assert_close(grouped, network.loss(batch)["tables"]["cells"])


def test_first_stage_learns_no_cells_but_has_their_gradients():
    network = make(stages=Stages([[0, 1.0], [1, 0.5]])).train()
    batch = batch_of(table())
    first, second = (network.loss(batch)["tables"] for _ in range(2))
    assert float(first["cells"]) == 0
    assert float(second["cells"]) > 0
    torch.testing.assert_close(first["structure"], 2 * second["structure"], rtol=0.3, atol=0)
    sum(first.values()).backward()
    assert all(value.grad is not None for value in network.parameters())


def test_a_second_reading_of_cells_is_learnt_in_its_stage():
    network = make(stages=Stages([[0, 1.0], [1, 0.5]]), columns=ColumnCTC, weights={"columns": 2.0}).train()
    batch = batch_of(table(), table(1, 1))
    first, second = (network.loss(batch)["tables"] for _ in range(2))
    assert float(first["columns"]) == 0
    assert float(second["columns"]) > 0
    sum(first.values()).backward()
    assert all(value.grad is not None for value in network.parameters())
    network.zero_grad()
    second["columns"].backward()
    reached = {
        name.split(".")[3]
        for name, value in network.named_parameters()
        if value.grad is not None and value.grad.any() and "tasks." in name
    }
    assert reached == {"neck", "view", "columns"}


def test_the_structure_decoder_learns_to_look_at_the_cells():
    network, terms = make(places=PlacedDecoder, weights={"attention": 1.0}).train(), []
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(120):
        terms.append(network.loss(batch_of(table(3, 3), table(1, 1)))["tables"]["attention"])
        optimizer.zero_grad()
        terms[-1].backward()
        optimizer.step()
    assert float(terms[-1]) < 0.5 * float(terms[0])
    assert float(network.loss(batch_of(table(box=False), EMPTY))["tables"]["attention"]) == 0


@pytest.mark.parametrize(("share", "training", "same"), [(1.0, True, True), (0.0, True, False), (1.0, False, False)])
def test_cells_are_read_where_the_reader_places_them_as_if_their_boxes_were_not_known(share, training, same):
    network, terms = make(foretold_boxes=share, view=partial(BoxView, jitter=0.0)).train(training), []
    for box in (True, False):
        torch.manual_seed(1)  # of the dropout
        terms.append(network.loss(batch_of(table(box=box)))["tables"]["cells"])
    assert bool(terms[0] == terms[1]) is same


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_cells_lies_between_nothing_and_all(share):
    with pytest.raises(ConfigError) as caught:
        make(foretold_boxes=share)
    assert caught.value.code == "C228"


def test_a_decoder_that_does_not_say_how_it_attends_cannot_be_told_how():
    network = make(TRANSFORMER, weights={"attention": 0.1})
    with pytest.raises(ConfigError) as caught:
        network.loss(batch_of(table()))
    assert caught.value.code == "C216"


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("decoder", [LSTM, TRANSFORMER])
def test_whatever_an_untrained_model_says_is_a_table(code, decoder):
    for seed in range(6):
        network = make(decoder, code=code, seed=seed).eval()
        with torch.no_grad():
            for head in (network.tasks["tables"].decoder.structure.head, network.tasks["tables"].decoder.cells.head):
                for weight in head.parameters():
                    weight.mul_(8)  # so that pictures differ in what is made of them
            prediction = network.predict({"image": torch.rand(3, 3, 16, 24)})["tables"]
        for page in from_code_points(prediction["table"]):
            found = parse_table(page)
            assert table_html(found) == page
            if isinstance(code, OtslCode):
                grid_of(found.structure)  # raises where rows or spans do not fit
            assert len(found.structure) <= 3 * 40


@pytest.mark.parametrize("structure", [partial(beam, width=2), speculative])
def test_any_procedure_over_the_step_interface_decodes(structure):
    network = make(TRANSFORMER, structure=structure).eval()
    plain = make(TRANSFORMER).eval()
    image = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        found, want = (one.predict({"image": image})["tables"] for one in (network, plain))
    if structure is speculative:
        assert torch.equal(found["table"], want["table"])
    assert found["text_confidence"].shape == (2,)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("decoder", [LSTM, TRANSFORMER])
def test_rows_and_columns_are_told_in_training_and_in_any_search(code, decoder):
    options = {"places": PlacedDecoder, "code": code}
    network, drafted = make(decoder, **options).train(), make(decoder, structure=speculative, **options).eval()
    sum(network.loss(batch_of(table(), table(1, 3)))["tables"].values()).backward()
    assert float(network.named_tasks["tables"].decoder.structure.added.weight.grad.abs().max()) > 0
    image = torch.rand(2, 3, 16, 24)
    network.load_state_dict(drafted.state_dict())  # with the statistics of before the step
    with torch.no_grad():
        found, want = (one.eval().predict({"image": image})["tables"]["table"] for one in (drafted, network))
    assert torch.equal(found, want)


def test_predictions_have_boxes_of_filled_cells_in_pixels():
    network = make().eval()
    task = network.named_tasks["tables"]
    with torch.no_grad():
        prediction = network.predict(batch_of(table(), table(1, 1)))["tables"]
    for row, page in enumerate(from_code_points(prediction["table"])):
        cells = parse_table(page).cells
        known = ~prediction["cell_boxes"][row].isnan().any(1)
        assert known.tolist()[: len(cells)] == [bool(cell.tokens) for cell in cells]
        assert not known[len(cells) :].any()
        boxes = prediction["cell_boxes"][row][known]
        assert bool((boxes[:, 2:] >= boxes[:, :2]).all())
        assert float(boxes.max() if len(boxes) else 0) <= 2 * 24
    confidence = prediction["token_confidence"]
    assert bool(((confidence > 0) & (confidence <= 1) | confidence.isnan()).all())
    assert bool((prediction["text_confidence"] <= 1).all())
    assert task.decoder.covered(network.encode(torch.rand(1, 3, 16, 24))[0]) == (24.0, 16.0)


@pytest.mark.parametrize(
    ("decoder", "rate"),
    [
        (partial(TableLSTM, hidden=24, embedding=12, attention=16, dropout=0.0), 1e-2),
        (partial(TableTransformer, width=32, depth=1, heads=2, hidden=32, dropout=0.0), 5e-3),
    ],
)
def test_two_tables_are_learnt_by_heart(decoder, rate):
    network = make(decoder, partial(BoxView, size=(2, 4), width=16, jitter=0.0), code=OtslCode()).train()
    batch = batch_of(table(2, 2), table(1, 3))
    batch["image"] = torch.randint(256, (2, 3, 16, 24), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(120):
        optimizer.zero_grad()
        sum(network.loss(batch)["tables"].values()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        prediction = network.predict(batch)["tables"]
    task = network.named_tasks["tables"]
    assert task.scores(prediction, batch) == [1.0, 1.0]
    for row, one in enumerate(batch["table"]):
        truth = torch.tensor([cell.box for cell in one.cells if cell.tokens])
        known = ~prediction["cell_boxes"][row].isnan().any(1)
        assert float((prediction["cell_boxes"][row][known] - truth).abs().max()) < 2.5
    assert float(prediction["text_confidence"].min()) > 0.5


def test_what_lies_in_the_padding_is_not_read():
    network = make().eval()
    alone = batch_of(table())
    image = torch.cat([alone["image"], alone["image"][..., -1:].expand(-1, -1, -1, 12)], 3)
    valid = nn.functional.pad(alone["valid"], (0, 12))
    changed = image.clone()
    changed[..., 32:] = 255 - changed[..., 32:]  # beyond what the cells at the border see
    task = network.named_tasks["tables"]
    with torch.no_grad():
        first, second = (
            network.tasks["tables"].decoder.memory(task(network.encode(one), (16, 36)), valid)
            for one in (image, changed)
        )
        found = [network.predict({"image": one, "valid": valid})["tables"]["table"] for one in (image, changed)]
    assert first.valid.reshape(4, 9).all(0).tolist() == [True] * 6 + [False] * 3
    torch.testing.assert_close(first.values[:, first.valid[0]], second.values[:, first.valid[0]])
    assert torch.equal(*found)


def test_cells_of_a_step_are_drawn_and_evaluation_takes_all():
    task = make().named_tasks["tables"]
    targets = task.writer.targets([table(3, 3)], ["x"], (24.0, 18.0), torch.device("cpu"))
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        chosen, content = drawn(targets, 2)
        places = chosen.nonzero()[:, 1].tolist()
        assert len(places) == len(content) == 2
        for place, row in zip(places, content.tolist(), strict=True):
            assert task.writer.content.decode(row[1:]) == table(3, 3).cells[place].tokens
        seen.update(places)
    assert seen == set(range(1, 9))
    assert len(drawn(targets, None)[1]) == len(drawn(targets, 9)[1]) == 8
    network, counts = make(cells_per_step=2), []
    view = network.named_tasks["tables"].decoder.view
    view.register_forward_pre_hook(lambda _, inputs: counts.append(int(inputs[3].sum())))
    for training in (True, False):
        network.train(training).loss(batch_of(table(3, 3)))
    assert counts == [2, 8]


def test_the_truth_scores_one_and_nothing_scores_little():
    task = make().named_tasks["tables"]
    truth = [table(), table(1, 3)]
    codes = [[ord(character) for character in table_html(one)] for one in truth]
    codes[1] = [ord(character) for character in table_html(EMPTY)]
    longest = max(map(len, codes))
    prediction = {"table": torch.tensor([[*row, *[-1] * (longest - len(row))] for row in codes])}
    batch = batch_of(*truth)
    scores = task.scores(prediction, batch)
    assert scores[0] == 1
    assert scores[1] < 0.3
    task.update(prediction, batch)
    figures = task.metrics.compute()
    assert float(figures["teds"]) == pytest.approx(sum(scores) / 2)
    assert float(figures["teds_struct"]) >= float(figures["teds"])


def test_a_table_that_the_metric_leaves_out_has_no_score():
    task = make(metrics=partial(teds_metrics, limits=Limits(nodes=8))).named_tasks["tables"]
    truth = [table(1, 1), table(3, 3)]
    prediction = {"table": to_code_points([table_html(one) for one in truth])}
    scores = task.scores(prediction, batch_of(*truth))
    assert scores[0] == 1
    assert math.isnan(scores[1])


def test_evaluation_has_a_loss_where_the_code_cannot_express_a_table():
    uneven = parse_table("<table><tr><td>a</td></tr><tr><td>a</td><td>b</td></tr></table>")
    network = make(code=OtslCode())
    with pytest.raises(ConfigError, match="C211"):
        network.train().loss(batch_of(uneven))
    network.eval()
    found, wanted = (network.loss(batch_of(one, table()))["tables"] for one in (uneven, filled(uneven)))
    assert found == wanted
    prediction = {"table": to_code_points([table_html(uneven)])}
    task = network.named_tasks["tables"]
    task.update(prediction, batch_of(uneven))
    assert float(task.metrics.compute()["teds"]) == 1  # of the table as it is, not of the one with another cell


def test_pictures_show_what_there_is():
    network = make().eval()
    batch = batch_of(table(), EMPTY)
    with torch.no_grad():
        prediction = network.predict(batch)["tables"]
    task, sample = network.named_tasks["tables"], sample_of(batch, 0)
    both = task.draw(sample, prediction_of(prediction, batch, 0))
    alone = task.draw(sample)
    unknown = task.draw({"key": "0", "image": sample["image"]}, prediction_of(prediction, batch, 0))
    assert both.shape[1] > max(alone.shape[1], unknown.shape[1])
    assert task.draw(sample_of(batch, 1), prediction_of(prediction, batch, 1)).ndim == 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"labels": None}, "C210"),
        ({"monitor": Monitor("miou", "max")}, "C212"),
        ({"max_content": 1}, "C213"),
        ({"weights": {"box": 1.0}}, "C215"),
    ],
)
def test_mistakes_are_named(options, code):
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert caught.value.code == code


def test_nothing_decoded_is_a_table_without_rows():
    def nothing(decoder, memory, valid, **options):
        count = len(memory)
        none = torch.zeros(count, 0)
        return Decoded(none.long(), none, torch.zeros(count), torch.ones(count, dtype=torch.bool))

    network = make(structure=nothing).eval()
    batch = batch_of(table(), EMPTY)
    with torch.no_grad():
        prediction = network.predict(batch)["tables"]
    assert from_code_points(prediction["table"]) == [table_html(EMPTY)] * 2
    assert prediction["cell_boxes"].shape == (2, 0, 4)
    assert prediction["token_confidence"].shape == (2, 0)
    task = network.named_tasks["tables"]
    scores = task.scores(prediction, batch)
    assert scores[0] < 0.5
    assert scores[1] == 1
    assert task.draw(sample_of(batch, 1), prediction_of(prediction, batch, 1)).ndim == 3


@pytest.mark.realdata
@pytest.mark.parametrize("code", CODES)
def test_real_tables_are_learnt_from(code, real_data):
    data = PubTabNet(real_data, "train")
    sample = Resize((64, 64))(data[0], None)
    network = make(labels=data.labels["table"], code=code, max_structure=700, max_content=200).train()
    terms = network.loss(collate([sample, sample]))["tables"]
    assert all(torch.isfinite(term) for term in terms.values())
    assert float(terms["boxes"]) > 0
    writer = network.tasks["tables"].writer
    targets = writer.targets([sample["table"]], ["x"], (64.0, 64.0), torch.device("cpu"))
    contents = iter([row[1:].tolist() for row in targets.content])
    cells = [next(contents) if wanted else [] for wanted in targets.filled[0]]
    again = writer.table(targets.structure[0, 1:].tolist(), cells)
    assert table_html(again) == table_html(sample["table"])

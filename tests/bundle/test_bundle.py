"""A bundle comes back bit by bit, and refuses everything that is not as it was exported, with nothing run."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from omegaconf import OmegaConf
from tiny_model import ALLOW, CLASSES, ENCODER, PREPROCESSING, TASK, tiny_network

from visionkit.bundle import folder as bundle
from visionkit.bundle import safety
from visionkit.bundle.labels import labels_from_json, labels_to_json
from visionkit.errors import ConfigError, StorageError, UnsafeFileError
from visionkit.files import older, replaced_file
from visionkit.labels import Edges


def save(folder: Path, seed: int = 0, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "encoder_cfg": ENCODER,
        "tasks_cfg": {"segmentation": TASK},
        "labels": {"mask": CLASSES},
        "preprocessing": PREPROCESSING,
        "metrics": {"test": {"miou": torch.tensor(0.5), "iou": [1.0, float("nan")]}},
    }
    return bundle.save(tiny_network(seed), folder, **arguments | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "model")


def rewrite(folder: Path, **changes: Any) -> None:
    """What someone with bad intentions does: changes the description and makes the checksums right."""
    about = json.loads((folder / "bundle.json").read_text())
    for name in about["sha256"]:
        if (folder / name).is_file():
            about["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(about | changes))


def refused(folder: Path, allow: Any = ALLOW) -> str:
    with pytest.raises(UnsafeFileError) as caught:
        bundle.load(folder, allow)
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_round_trip_is_bit_identical(folder: Path) -> None:
    before = torch.get_rng_state()
    network, info = bundle.load(folder, ALLOW)
    assert torch.equal(torch.get_rng_state(), before)
    original, image = tiny_network(), torch.rand(2, 3, 37, 50)
    assert torch.equal(network(image)["segmentation"], original(image)["segmentation"])
    assert all(torch.equal(value, original.state_dict()[key]) for key, value in network.state_dict().items())
    assert not network.training
    assert info.labels == {"mask": CLASSES}
    assert info.preprocessing == PREPROCESSING
    assert info.metrics == {"test": {"miou": 0.5, "iou": [1.0, None]}}


def test_the_folder_explains_itself(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "bundle.json", "model.safetensors"]
    readme = (folder / "README.md").read_text()
    assert "visionkit.load" in readme
    assert "1 road" in readme
    assert "test/miou | 0.5" in readme


def test_weights_of_other_training_are_switched_off(tmp_path: Path) -> None:
    encoder = ENCODER | {"weights": "/home/someone/imagenet.pth"}
    folder = save(tmp_path / "model", encoder_cfg=OmegaConf.create(encoder))
    about = json.loads((folder / "bundle.json").read_text())
    assert about["encoder"]["pretrained"] is False
    assert about["encoder"]["weights"] is None
    rewrite(folder, encoder=about["encoder"] | {"pretrained": True, "weights": "other.pth"})
    bundle.load(folder, ALLOW)  # the encoder raises when it is asked for either


def test_an_older_bundle_is_replaced(folder: Path) -> None:
    save(folder, seed=1)
    network, _ = bundle.load(folder, ALLOW)
    assert torch.equal(network.encoder.first.weight, tiny_network(1).encoder.first.weight)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("step", ["pack", "bundle_readme", "rename"])
def test_a_failure_leaves_the_older_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device", "x")

    rename = Path.rename

    def fail_second(path: Path, to: Path) -> Any:
        return fail() if to == folder and path != older(folder) else rename(path, to)

    targets = {"pack": (bundle.weights, "pack", fail), "bundle_readme": (bundle, "bundle_readme", fail)}
    monkeypatch.setattr(*targets.get(step, (Path, "rename", fail_second)))
    with pytest.raises(OSError, match="No space"):
        save(folder, seed=1)
    network, _ = bundle.load(folder, ALLOW)
    assert torch.equal(network.encoder.first.weight, tiny_network(0).encoder.first.weight)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_replacement_cut_short_says_where_the_older_one_is(folder: Path) -> None:
    folder.rename(older(folder))
    with pytest.raises(ConfigError, match=r"rename .*\.model\.old to model"):
        bundle.load(folder)


def test_other_files_are_never_replaced(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (folder / "notes.txt").write_text("mine")
    for place in (tmp_path / "mine", folder, tmp_path / "mine" / "thesis.tex"):
        with pytest.raises(StorageError, match="S20"):
            save(place)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def write_half() -> None:
        with replaced_file(tmp_path / "a.txt") as new:
            new.write_text("ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_half()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


CANARY = "ran.txt"
COMMAND = f"touch {CANARY}"
EVIL: list[tuple[str, Any, str]] = [
    ("os.system", {"_target_": "os.system", "command": COMMAND}, "U14"),
    ("file made", {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [CANARY]}}, "U14"),
    ("in a task", {"_target_": "builtins.exec", "source": f"open('{CANARY}', 'w')"}, "U14"),
    ("functools", {"_target_": "functools.partial", "func": "os.system"}, "U14"),
    ("get_method", {"_target_": "hydra.utils.get_method", "path": "os.system"}, "U14"),
    ("instantiate", {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.mkdir", "path": CANARY}}, "U14"),
    ("nested", ENCODER | {"channels": {"a": [{"b": {"_target_": "os.mkdir", "path": CANARY}}]}}, "U14"),
    ("list", ENCODER | {"channels": [[{"_target_": "os.mkdir", "path": CANARY}]]}, "U14"),
    ("arguments", ENCODER | {"_args_": [{"_target_": "os.mkdir", "path": CANARY}]}, "U17"),
    ("plain arguments", ENCODER | {"_args_": [[4, 6], True]}, "U17"),
    ("partial", {"_target_": "os.mkdir", "_partial_": True, "path": CANARY}, "U14"),
    ("not recursive", ENCODER | {"_recursive_": False, "channels": {"_target_": "os.mkdir", "path": CANARY}}, "U14"),
    ("partial a text", ENCODER | {"_partial_": "yes"}, "U17"),
    ("partial a number", ENCODER | {"_partial_": 1}, "U17"),
    ("partial a target", ENCODER | {"_partial_": {"_target_": "os.mkdir", "path": CANARY}}, "U17"),
    ("convert", ENCODER | {"_convert_": "everything"}, "U17"),
    ("unknown special", ENCODER | {"_call_": "os.mkdir"}, "U17"),
    ("case", ENCODER | {"_target_": "tiny_model.tinyencoder"}, "U14"),
    ("dots", ENCODER | {"_target_": "tiny_model..TinyEncoder"}, "U14"),
    ("longer", ENCODER | {"_target_": "tiny_model.TinyEncoder.__init__.__globals__"}, "U14"),
    (
        "through a module",
        {"_target_": "visionkit.bundle.folder.checkpoint.shutil.os.system", "command": COMMAND},
        "U14",
    ),
    ("a module", {"_target_": "tiny_model"}, "U14"),
    ("space", ENCODER | {"_target_": " tiny_model.TinyEncoder"}, "U14"),
    ("line", ENCODER | {"_target_": "tiny_model.TinyEncoder\n"}, "U14"),
    ("wide letters", ENCODER | {"_target_": "tiny_model.\uff34inyEncoder"}, "U14"),
    ("empty", ENCODER | {"_target_": ""}, "U14"),
    ("number", ENCODER | {"_target_": 7}, "U15"),
    ("null", ENCODER | {"_target_": None}, "U15"),
    ("list of targets", ENCODER | {"_target_": ["tiny_model.TinyEncoder"]}, "U15"),
    ("dict as target", ENCODER | {"_target_": {"_target_": "os.mkdir", "path": CANARY}}, "U15"),
    ("environment", ENCODER | {"weights": "${oc.env:HOME}"}, "U16"),
    ("reference", ENCODER | {"channels": "${..tasks}"}, "U16"),
    ("escaped", ENCODER | {"channels": "\\${oc.env:HOME}"}, "U16"),
    ("in the target", ENCODER | {"_target_": "${oc.decode:os.system}"}, "U14"),
    ("in a key", ENCODER | {"${oc.env:HOME}": 1}, "U16"),
    ("missing", ENCODER | {"channels": "???"}, "U16"),
    ("absolute", ENCODER | {"weights": "/etc/passwd"}, "U18"),
    ("home", ENCODER | {"weights": "~/model.pth"}, "U18"),
    ("climbing", ENCODER | {"weights": "../other/model.pth"}, "U18"),
    ("climbing later", ENCODER | {"weights": "a/../../b"}, "U18"),
    ("backslash", ENCODER | {"weights": "a\\..\\b"}, "U18"),
    ("drive", ENCODER | {"weights": "C:\\model.pth"}, "U18"),
    ("url", ENCODER | {"weights": "https://example.org/model.pth"}, "U18"),
    ("hub", ENCODER | {"weights": "hf-hub:someone/model"}, "U18"),
    ("escape codes", ENCODER | {"weights": "\x1b[2J"}, "U16"),
    ("no target", {"channels": [4, 6]}, "U06"),
]


@pytest.mark.parametrize(("cfg", "code"), [case[1:] for case in EVIL], ids=[case[0] for case in EVIL])
@pytest.mark.parametrize("place", ["encoder", "task", "head"])
def test_a_bundle_names_known_classes_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cfg: Any, code: str, place: str
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("visionkit.config.instantiate", lambda *_, **__: pytest.fail("something was built"))
    tasks = {"task": {"segmentation": cfg}, "head": {"segmentation": TASK | {"head": [cfg]}}}
    rewrite(folder, **({"encoder": cfg} if place == "encoder" else {"tasks": tasks[place]}))
    if cfg == {"channels": [4, 6]} and place == "head":
        return  # plain data is what a nested value may be
    assert refused(folder) == code
    assert not (folder.parent / CANARY).exists()


def test_the_canary_can_sing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save(tmp_path / "model")
    rewrite(folder, encoder={"_target_": "os.mkdir", "path": CANARY})
    assert refused(folder, [*ALLOW, "os.mkdir"]) == "U12"  # allowed by the caller, so it ran, and made no encoder
    assert (tmp_path / CANARY).exists()


def test_classes_are_refused_unless_the_caller_allows_them(folder: Path) -> None:
    assert refused(folder, ()) == "U14"
    assert refused(folder, ALLOW[:2]) == "U14"
    assert refused(folder, ALLOW[0]) == "U14"


def test_known_classes_come_from_the_packaged_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for group, text in {
        "encoder": "_target_: a.Encoder\ndeep: [{x: {_target_: a.Deep}}]",
        "task/edges": "# @package tasks.edges\n_target_: a.Task\n_partial_: true",
        "inference": "_target_: a.Windows",
        "optimizer": "_target_: torch.optim.AdamW",
        "dataset": "_target_: a.Source\nprepare: {size: {_target_: a.Size}}",
        "experiment": "encoder: {norm: {_target_: a.Norm}}\n"
        "dataset: {layout: {_target_: a.Layout}, prepare: {ink: {_target_: a.Ink}}}",
    }.items():
        (tmp_path / group).mkdir(parents=True)
        (tmp_path / group / "one.yaml").write_text(text)
    monkeypatch.setattr(safety, "conf_dir", lambda: tmp_path)
    assert safety.known_targets() == {"a.Encoder", "a.Deep", "a.Task", "a.Windows", "a.Size", "a.Norm", "a.Ink"}


def test_no_packaged_option_names_something_that_calls_other_things() -> None:
    roots = {name.split(".")[0] for name in safety.known_targets()}
    assert roots <= {"visionkit", "torch", "torchvision", "timm"}
    assert "visionkit.tasks.segmentation.Segmentation" in safety.known_targets()


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, (COMMAND,)


@pytest.mark.parametrize("write", [pickle.dumps, lambda bomb: torch.save(bomb, "p") or Path("p").read_bytes()])
def test_a_pickle_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "model.safetensors").write_bytes(write(Bomb()))
    assert refused(folder) == "U07"
    rewrite(folder)
    assert refused(folder) == "U10"
    assert not (folder.parent / CANARY).exists()


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors", "README.md"])
def test_truncation_anywhere_is_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for length in sorted({*range(0, len(data), 37), *range(12), len(data) - 2, len(data) - 1}):
        (folder / name).write_bytes(data[:length])
        assert refused(folder) == ("U02" if name == "bundle.json" else "U07")


def test_truncated_weights_with_a_right_checksum_are_refused(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1]:
        (folder / "model.safetensors").write_bytes(data[:length])
        rewrite(folder)
        assert refused(folder) == "U11"


@pytest.mark.parametrize("header", [b"\xff" * 8 + b"{}", b"\x02" + b"\0" * 7 + b"[]", (10**12).to_bytes(8, "little")])
def test_bad_safetensors_headers_are_refused(folder: Path, header: bytes) -> None:
    (folder / "model.safetensors").write_bytes(header)
    rewrite(folder)
    assert refused(folder) == "U11"


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_are_refused(folder: Path, change: str) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    if change == "missing":
        del state["encoder.mean"]
    else:
        state["encoder.mean" if change == "shape" else "more"] = torch.zeros(5)
    safetensors.torch.save_file(state, folder / "model.safetensors")
    rewrite(folder)
    assert refused(folder) == "U13"


def test_paths_stay_in_the_folder(folder: Path) -> None:
    (folder.parent / "secret").write_text("x")
    (folder / "link").symlink_to(folder.parent / "secret")
    about = json.loads((folder / "bundle.json").read_text())
    for name in ("../secret", "/etc/passwd", "link", "a/../../secret", "", ".", "..", "c:x", "a\\b"):
        (folder / "bundle.json").write_text(json.dumps(about | {"sha256": about["sha256"] | {name: "0"}}))
        assert refused(folder) == "U05", name


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors"])
def test_links_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    outside = folder.parent / name
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    assert refused(folder) == "U05"


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "README.md").unlink()
    assert refused(folder) == "U08"
    os.mkfifo(folder / "README.md")  # must not wait for someone who writes
    assert refused(folder) == "U08"


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0, [1]])
def test_unknown_formats_are_refused(folder: Path, version: Any) -> None:
    rewrite(folder, format=version)
    assert refused(folder) in ("U04", "U06")


def big(folder: Path) -> str:
    return (folder / "bundle.json").read_text().rstrip("}") + "}" + " " * safety.MAX_JSON_BYTES


BAD_JSON = {
    "deep": (lambda _: '{"a":' * 100 + "1" + "}" * 100, "U03"),
    "very deep": (lambda _: "[" * 10**6, "U03"),
    "large": (big, "U03"),
    "not an object": (lambda _: "[]", "U02"),
    "twice": (lambda _: '{"format": 1, "format": 1}', "U02"),
    "not a number": (lambda _: '{"format": NaN}', "U02"),
    "infinite": (lambda _: '{"format": 1e999}', "U02"),
    "long number": (lambda _: '{"format": ' + "9" * 10**5 + "}", "U02"),
    "half a character": (lambda _: '{"format": "\\ud800"}', "U02"),
    "null": (lambda _: "null", "U02"),
    "escape codes": (lambda _: '{"format": {"\\u001b[2J": 1}}', "U02"),
    "nothing in it": (lambda _: "{}", "U04"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused(folder: Path, name: str) -> None:
    make, code = BAD_JSON[name]
    (folder / "bundle.json").write_text(make(folder))
    assert refused(folder) == code


def test_bytes_that_are_not_text_are_refused(folder: Path) -> None:
    (folder / "bundle.json").write_bytes(b'{"format": "\xff"}')
    assert refused(folder) == "U02"


FIELDS = [
    {"encoder": []},
    {"tasks": {"a": 3}},
    {"labels": None},
    {"sha256": {}},
    {"sha256": {"model.safetensors": 3}},
    {"metrics": 1},
    {"tasks": {"a/b": TASK}},
    {"tasks": {"a.b": TASK}},
    {"tasks": {"": TASK}},
    {"tasks": {"encoder": TASK}, "encoder": {"channels": [4, 6]}},
    {"visionkit": "1\n2"},
    {"more": 1},
    {"preprocessing": {"channels": 0, "size": None}},
    {"preprocessing": {"channels": True, "size": None}},
    {"preprocessing": {"channels": 3, "size": [32]}},
    {"preprocessing": {"channels": 3, "size": "32"}},
    {"preprocessing": {"channels": 3, "size": [10**9, 1]}},
    {"preprocessing": {"channels": 3, "size": None, "channels_last": "no"}},
    {"preprocessing": {"channels": 3, "size": None, "more": 1}},
    {"preprocessing": {"channels": 3, "size": None, "prepare": {"_target_": "x"}}},
    {"preprocessing": {"channels": 3, "size": None, "prepare": ["x"]}},
]


@pytest.mark.parametrize("change", FIELDS, ids=str)
def test_fields_of_another_kind_are_refused(folder: Path, change: dict[str, Any]) -> None:
    rewrite(folder, **change)
    assert refused(folder) in ("U06", "U07")


LABELS = [
    {"mask": 3},
    {"mask": {"names": ["a"]}},
    {"mask": {"kind": "Path", "names": ["a"]}},
    {"mask": {"kind": ["classes"], "names": ["a"]}},
    {"mask": {"kind": "classes"}},
    {"mask": {"kind": "classes", "names": "abc"}},
    {"mask": {"kind": "classes", "names": ["a", 3]}},
    {"mask": {"kind": "classes", "names": ["a"], "colors": [[1, 2]]}},
    {"mask": {"kind": "classes", "names": ["a"], "colors": [[1, 2, 3.0]]}},
    {"mask": {"kind": "classes", "names": ["a"], "other": 1}},
    {"edges": {"kind": "edges", "tolerance": "0.01"}},
    {"text": {"kind": "charset", "characters": ["a"], "ngrams": [[0, 1, "aa"]]}},
    {"text": {"kind": "charset", "characters": ["a"], "ngrams": [[2, 1, "aaa"]]}},
    {"text": {"kind": "charset", "characters": ["a"], "ngrams": [[2, 0, "aa"]]}},
    {"text": {"kind": "charset", "characters": ["a"], "ngrams": [[2, 1, "aa"], [1, 1, "a"]]}},
]


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_labels_of_another_kind_are_refused(folder: Path, labels: Any) -> None:
    rewrite(folder, labels=labels)
    assert refused(folder) == "U09"


def test_labels_come_back() -> None:
    plain = labels_to_json({"mask": CLASSES, "density": None})
    assert plain["mask"]["kind"] == "classes"
    assert plain["mask"]["names"] == ["sky", "road", "tree"]
    assert labels_from_json(json.loads(json.dumps(plain)), Path("x")) == {"mask": CLASSES}
    edges = {"edges": Edges(0.011)}
    assert labels_from_json(json.loads(json.dumps(labels_to_json(edges))), Path("x")) == edges
    with pytest.raises(TypeError, match="Path"):
        labels_to_json({"mask": Path("x")})


def test_a_model_that_cannot_be_built_is_refused(folder: Path) -> None:
    rewrite(folder, encoder=ENCODER | {"chanels": 3})
    assert refused(folder) == "U12"
    rewrite(folder, encoder=TASK)
    assert refused(folder) == "U12"


def test_what_load_would_refuse_is_not_saved(tmp_path: Path) -> None:
    for encoder in (ENCODER | {"_args_": [1]}, ENCODER | {"file": "/tmp/x"}, ENCODER | {"a": "${b}"}):
        with pytest.raises(UnsafeFileError):
            save(tmp_path / "model", encoder_cfg=encoder)
    assert list(tmp_path.iterdir()) == []


def test_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ConfigError, match="visionkit export run="):
            bundle.load(place)


def test_what_pictures_pass_through_is_of_known_classes(folder: Path) -> None:
    rewrite(folder, preprocessing={"channels": 3, "size": None, "prepare": [{"_target_": "os.system", "command": "x"}]})
    assert refused(folder) == "U14"

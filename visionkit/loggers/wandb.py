"""Weights & Biases: Lightning's logger, made to need no account, no answer and no network."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import lightning.pytorch.loggers as lightning_loggers
import wandb
from lightning.pytorch.utilities import rank_zero_only

from visionkit.files import replaced_file

_INIT_TIMEOUT_S = 30
_FINISH_TIMEOUT_S = 600


class WandbLogger(lightning_loggers.WandbLogger):
    """One W&B run for one run folder, under ``<folder>/wandb``.

    Online when the user is logged in, else offline without a question; ``WANDB_MODE`` decides where it is set, but
    online without a login is offline, too, and one line says so.
    The run's id is kept in ``<folder>/wandb_id.txt``, so that a resumed training continues the same W&B run.
    A fault of W&B (no network, a service that died, a full disk at the other end) is one warning line and never
    the end of a training: the figures are in ``metrics.jsonl`` all the same.

    Args:
        folder: the run folder; its name becomes the run's name.
        project: W&B project.
        options: any further argument of ``wandb.init`` (entity, group, tags, notes ...).
    """

    def __init__(self, folder: Path | str, project: str = "visionkit", **options: Any) -> None:
        self._folder = Path(folder).absolute()
        self._warned: set[str] = set()
        super().__init__(
            name=options.pop("name", self._folder.name),
            project=project,
            save_dir=str(self._folder),
            id=_run_id(self._folder),
            mode=_mode(),
            settings=wandb.Settings(**_settings()),
            **options,
        )
        if self._wandb_init.get("anonymous") is None:
            self._wandb_init.pop("anonymous", None)  # W&B warns of the very name

    @property
    def experiment(self) -> Any:
        """The W&B run, begun at its first use; a dummy on every process but the first."""
        if self._experiment is None and _is_first_process():
            self._begin()
        return super().experiment

    @property
    def folder(self) -> Path | None:
        """Where this process writes the W&B run; None before the run has begun or where W&B is disabled."""
        path = getattr(getattr(self._experiment, "settings", None), "sync_dir", None)
        return Path(path) if path and Path(path).is_dir() else None

    @property
    def address(self) -> str | None:
        """Web page of the run; None where it is offline."""
        run = self._experiment
        if run is None or run.offline:  # W&B warns where an offline run is asked for its page
            return None
        return run.url or None

    def log_hyperparams(self, params: Any) -> None:
        """Sets the run's config: hand it the resolved configuration."""
        with self._tolerated("the configuration"):
            super().log_hyperparams(params)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs figures at an optimizer step."""
        with self._tolerated("figures"):
            super().log_metrics(metrics, step)

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Logs pictures under one key; ``caption=[...]`` names them."""
        with self._tolerated("pictures"):
            super().log_image(key, images, step, **kwargs)

    @rank_zero_only
    def log_folder(self, folder: Path | str, name: str, kind: str = "model") -> None:
        """Logs a folder, such as the exported bundle, as an artifact; its files are not copied."""
        folder = Path(folder)
        with self._tolerated("the artifact"):
            artifact = wandb.Artifact(name=f"{name}-{self._id}", type=kind)
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                artifact.add_file(str(path), name=path.relative_to(folder).as_posix(), policy="immutable")
            self.experiment.log_artifact(artifact)

    @rank_zero_only
    def finish(self, succeeded: bool = True) -> None:
        """Ends the run and waits until it is on the disk (offline) or uploaded (online)."""
        if self._experiment is not None:
            with self._tolerated("the end of the run"):
                self._experiment.finish(exit_code=0 if succeeded else 1)
                wandb.teardown()  # finish() may return before its service has written the last records

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if wandb.run is not None and wandb.run.id != self._id:
            wandb.finish()  # left open by an earlier job of this process, it would swallow this run's figures
        try:
            _ = super().experiment
        except Exception as error:
            self._warn("W&B cannot be reached; the run is kept offline", error)
            wandb.teardown()  # its service still holds the id of the run that could not begin
            self._wandb_init["mode"] = "offline"
            _ = super().experiment
        print(f"W&B run: {self.address or self.folder or 'disabled'}", flush=True)

    @contextmanager
    def _tolerated(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._warn(f"W&B did not take {what}", error)

    def _warn(self, what: str, error: Exception) -> None:
        if what not in self._warned:
            self._warned.add(what)
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            print(f"visionkit: warning: {what} ({reason})", file=sys.stderr)


def logged_in() -> bool:
    """True where W&B finds a key without asking: in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname
    named = os.environ.get("NETRC")
    for path in [Path(named).expanduser()] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if host in netrc(str(path)).hosts:
                return True
        except (OSError, NetrcParseError):
            continue
    return False


def _mode() -> str | None:
    """None leaves the choice to W&B, which then reads WANDB_MODE and its own settings."""
    wanted = os.environ.get("WANDB_MODE")
    if logged_in() or wanted not in (None, "", "online", "run", "shared"):
        return None
    if wanted and _is_first_process():
        what = f"WANDB_MODE={wanted}, but nobody is logged in to W&B: the run is kept offline"
        print(f"visionkit: warning: {what}; wandb login, and then wandb sync with its folder, send it", file=sys.stderr)
    return "offline"


def _is_first_process() -> bool:
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def _run_id(folder: Path) -> str:
    """The id in ``wandb_id.txt``, made at the first start; a sweep's agent gives its own."""
    path = folder / "wandb_id.txt"
    known = path.read_text().strip() if path.is_file() else ""
    run_id = known or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
    if not known and _is_first_process():
        with replaced_file(path) as new:
            new.write_text(run_id + "\n")
    return run_id


def _settings() -> dict[str, Any]:
    """Quiet, console not captured, no wait without an end; what the installed version does not know is left out."""
    wanted = {
        "console": "off",
        "silent": True,
        "init_timeout": _INIT_TIMEOUT_S,
        "finish_timeout": _FINISH_TIMEOUT_S,
    }
    return {name: value for name, value in wanted.items() if name in wandb.Settings.model_fields}

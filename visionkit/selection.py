"""A part of an experiment of several tasks: those that are named, and the sources that they learn from."""

from omegaconf import DictConfig, OmegaConf

from visionkit.config import build, class_of
from visionkit.errors import ConfigError, nearest


def keep_only(cfg: DictConfig) -> None:
    """Leaves the tasks that ``cfg.only`` names, their baselines, and of several sources those with a target of one.

    Raises ConfigError C93 for a name that is no task of the configuration.
    """
    if cfg.only is None:
        return
    names = [cfg.only] if isinstance(cfg.only, str) else list(cfg.only)
    for name in names:
        if name not in cfg.tasks:
            raise ConfigError("C93", f"only={name}", "is no task of this configuration", nearest(name, cfg.tasks))
    cfg.tasks = OmegaConf.masked_copy(cfg.tasks, names)
    if cfg.baselines is not None:
        cfg.baselines = OmegaConf.masked_copy(cfg.baselines, [name for name in names if name in cfg.baselines])
    if "sources" in cfg.dataset:
        targets = {class_of(task).target for task in cfg.tasks.values()}
        sources = cfg.dataset.sources
        kept = [name for name, node in sources.items() if targets & build(node).split("train").labels.keys()]
        cfg.dataset.sources = OmegaConf.masked_copy(sources, kept)

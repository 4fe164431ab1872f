"""Keeps a resumed run's local history equal to an uninterrupted one's."""

from lightning.pytorch import Callback, LightningModule, Trainer


class RewindHistory(Callback):
    """Drops the rows after the checkpoint from which training goes on; training from the start drops all."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rewinds every logger that can be (``JsonlLogger``) to the restored step."""
        for logger in trainer.loggers:
            rewind = getattr(logger, "rewind", None)
            if rewind is not None:
                rewind(trainer.global_step)

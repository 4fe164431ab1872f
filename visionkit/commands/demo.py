"""A page in the browser on which a bundle can be tried."""

from importlib.util import find_spec
from typing import Any

from visionkit.errors import ResourceError


def launch(bundle: str, device: str | None = None) -> None:
    """Serves the page until it is stopped. Raises ResourceError R12 where gradio is not installed."""
    if find_spec("gradio") is None:
        raise ResourceError("R12", "", "the demo needs gradio", "pip install gradio")
    from visionkit.prediction.predictor import Predictor

    page(Predictor.load(bundle, device)).launch()


def page(predictor: Any) -> Any:
    """A picture in, and the same picture with the prediction of each task."""
    import gradio

    tasks = list(predictor.network.tasks)

    def show(picture: Any) -> list[Any]:
        (result,) = predictor.predict(picture)
        return [result.draw(task) for task in tasks]

    outputs = [gradio.Image(label=task) for task in tasks]
    return gradio.Interface(show, gradio.Image(type="pil"), outputs, title="visionkit", flagging_mode="never")

"""``edgevit export``: from weights to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import (
    DryRunOption,
    JsonOption,
    MaxPixelsOption,
    ParityCountOption,
    ParityImagesOption,
    WeightsKeyOption,
    class_names,
)
from edgevit.cli.picture_options import (
    CropPctOption,
    MeanOption,
    PreprocessOption,
    ResizeOption,
    ScaleOption,
    StdOption,
    input_options,
)
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def export(
    model: Annotated[
        str,
        typer.Option(
            help="A model name; 'edgevit models' lists them. Or timm:NAME, of an installed timm."
        ),
    ] = "lla_tiny",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Weights: .safetensors, .pth or .pt. Default: the shipped weights."),
    ] = None,
    weights_key: WeightsKeyOption = None,
    image_px: Annotated[
        int | None, typer.Option(min=1, help="Export for another image size, in pixels.")
    ] = None,
    resample_positions: Annotated[
        bool,
        typer.Option(
            "--resample-positions",
            help="Interpolate the checkpoint's position embeddings to the model's image size.",
        ),
    ] = False,
    preprocess: PreprocessOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    scale: ScaleOption = None,
    resize: ResizeOption = None,
    crop_pct: CropPctOption = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Number of classes, or a text file with one class name per line."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle folder. Default: MODEL.edgevit")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Fixed batch size of the exported model.")] = 1,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Accept any batch size at run time.")
    ] = False,
    with_superpixels: Annotated[
        bool, typer.Option("--with-superpixels", help="Also output the superpixel map.")
    ] = False,
    with_features: Annotated[
        bool,
        typer.Option("--with-features", help="Also output the feature maps of a LaViT or a ViT."),
    ] = False,
    half_storage: Annotated[
        bool,
        typer.Option(
            "--fp16-storage",
            help="Store weights that are exact in float16 as float16: half the size, same results.",
        ),
    ] = False,
    parity_images: ParityImagesOption = None,
    parity_count: ParityCountOption = 32,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Trace a model to ONNX, check it against torch, and write a bundle."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.export import export as export_model
    from edgevit.workflows.export import plan_export

    set_max_pixels(max_pixels)
    names, size = class_names(classes), None if dynamic_batch else batch
    if dry_run:
        planned = plan_export(
            model, output, checkpoint=checkpoint, classes=names, batch=size, force=force
        )
        show(planned, json)
        return
    result = export_model(
        model,
        output,
        checkpoint=checkpoint,
        weights_key=weights_key,
        image_px=image_px,
        resample_positions=resample_positions,
        classes=names,
        batch=size,
        with_superpixels=with_superpixels,
        with_features=with_features,
        half_storage=half_storage,
        parity_images=parity_images,
        parity_count=parity_count,
        force=force,
        **input_options(preprocess, mean, std, scale, resize, crop_pct),
        progress=progress_for_stderr(),
    )
    show(result, json)

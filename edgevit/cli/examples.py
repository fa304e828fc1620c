"""Three command lines that work, for the end of every command's help."""

from __future__ import annotations

from collections.abc import Mapping

# By command, without 'edgevit' in front.
EXAMPLES: Mapping[str, tuple[str, str, str]] = {
    "models": ("models", "models --json", "models --quiet"),
    "train": (
        "train --data images --model lla_tiny --init lla_tiny --epochs 20",
        "train --data images/train --val-data images/val --output runs/mine",
        "train --config train.toml --dry-run",
    ),
    "eval": (
        "eval mine.edgevit --data images/val",
        "eval mine.edgevit --data images --split held-out --json",
        "eval --data images/val --confusion confusion.png --output accuracy.json",
    ),
    "export": (
        "export --model lla_tiny",
        "export --model lla_tiny --checkpoint runs/lla_tiny/lla_tiny.safetensors -o mine.edgevit",
        "export --model vit_tiny --dynamic-batch --fp16-storage --force",
    ),
    "import": (
        "import model.onnx --classes names.txt",
        "import model.onnx --classes 1000 --mean 0.5 --std 0.5 --resize crop",
        "import model.onnx --preprocess inception --images photos --output mine.edgevit",
    ),
    "quantize": (
        "quantize mine.edgevit --data images/train --val-data images/val",
        "quantize mine.edgevit --data images/train --target openvino --max-drop 1",
        "quantize mine.edgevit --data images/train --target all --force --dry-run",
    ),
    "compile": (
        "compile mine.edgevit --target auto",
        "compile mine.edgevit --target native --precision int8 --data images/train",
        "compile mine.edgevit --target tensorrt --precision fp16 --capability 8.6",
    ),
    "predict": (
        "predict photos --output answers.parquet",
        "predict mine.edgevit photos archive.tar -o answers.parquet --top 3",
        "predict mine.edgevit photos --engine ray --workers 2 -o answers.parquet",
    ),
    "inspect": ("inspect", "inspect mine.edgevit --layers", "inspect mine.edgevit --json"),
    "verify": (
        "verify mine.edgevit",
        "verify mine.edgevit --images photos --count 50",
        "verify mine.edgevit --variant native-int8 --bisect",
    ),
    "trust": (
        "trust theirs.edgevit",
        "trust theirs.edgevit --check-hashes",
        "trust theirs.edgevit --json",
    ),
    "deploy": (
        "deploy mine.edgevit --host jetson",
        "deploy mine.edgevit --fleet shop --keep 3",
        "deploy mine.edgevit --host user@192.168.1.20 --json",
    ),
    "run": (
        "run photo.jpg",
        "run mine.edgevit photos --output drawn --unsure-below 0.5",
        "run mine.edgevit 0 --serve 127.0.0.1:8080",
    ),
    "bench": (
        "bench mine.edgevit --output here.json",
        "bench mine.edgevit --variant native-int8 --threads 2",
        "bench --compare before.json after.json --fail-if-slower 5%",
    ),
    "profile": (
        "profile mine.edgevit",
        "profile mine.edgevit --variant native-int8 --runs 200",
        "profile mine.edgevit --threads 2 --plot profile.png",
    ),
    "report": (
        "report here.json",
        "report here.json accuracy.json --output report.html",
        "report here.json there.json --title 'Two machines'",
    ),
    "devices": ("devices", "devices add jetson user@192.168.1.20", "devices setup jetson"),
    "service": (
        "service install mine.edgevit csi://0",
        "service install mine.edgevit 0 --serve 127.0.0.1:8080 --dry-run",
        "service status",
    ),
    "doctor": ("doctor", "doctor --host user@192.168.1.20", "doctor --json"),
}
COMMAND_NAMES = frozenset(EXAMPLES)


def examples_of(command: str) -> str | None:
    """The end of a command's help; None for a command of a group, whose help has them."""
    if command not in EXAMPLES:
        return None
    lines = [f"  edgevit {example}" for example in EXAMPLES[command]]
    return "\n\n".join(["Examples:", *lines])

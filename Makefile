# make demo: set up, then export, check, run and measure lla_tiny on real photographs.
# make test: set up, then run the tests.
PYTHON ?= python3
VENV ?= .venv
# PyTorch's own index of CPU builds; TORCH_INDEX= takes the default build (on Linux: CUDA, 3 GB).
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Pictures for the demo; by default eight that scikit-image ships.
IMAGES ?= out/photos

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test fuzz fuzz-native bench-native count-arm64 chaos test-slow test-all test-pythons test-arm64 schemas lint bench prebuilt wheels train-zoo tensorrt-builds docs clean

demo: $(READY)
	$(if $(filter out/photos,$(IMAGES)),$(BIN)/python benchmarks/sample_photos.py out/photos,@true)
	$(BIN)/edgevit export --model lla_tiny --output out/lla_tiny.edgevit --force
	$(BIN)/edgevit run out/lla_tiny.edgevit $(IMAGES)
	$(BIN)/edgevit bench out/lla_tiny.edgevit

# Twice as many workers as cores: many tests wait for other processes, devices and clocks.
TEST_WORKERS ?= $(shell expr 2 '*' $$(nproc))
# A worker whose test neither ends nor fails after its time (pyproject.toml) is ended and replaced.
IN_PARALLEL = --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder \
	-o faulthandler_timeout=660 -o faulthandler_exit_on_timeout=true
# Compiled once for all child processes of the tests, even where the environment sets this variable.
test test-slow test-all: export PYTHONDONTWRITEBYTECODE =
test: $(READY)
	$(BIN)/python -m compileall -q edgevit export runtimes
	$(BIN)/python -m pytest -m "not slow and not arm64" $(IN_PARALLEL)

# What is heavy: whole trainings, exports and quantizations, other environments.
test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow and not arm64"

test-all: $(READY)
	$(BIN)/python -m pytest

# The device package on the other Pythons that are here, each in an environment of its own.
test-pythons: $(READY)
	$(BIN)/python -m pytest -m slow tests/project/test_device_install.py -rA

# The device package on an emulated aarch64 Debian; wants debootstrap, qemu-user-static, proot.
ARM64_ROOT ?= $(CURDIR)/out/arm64
test-arm64: $(READY)
	$(BIN)/python -m pip install --quiet "ziglang>=0.14,<1"
	$(BIN)/python tests/support/machines/arm64_root.py $(ARM64_ROOT)
	EDGEVIT_ARM64_ROOT=$(ARM64_ROOT) $(BIN)/python -m pytest -m arm64 \
		tests/project/test_arm64.py tests/native/test_engine_on_arm.py \
		tests/project/test_arm_instructions.py -rA

schemas: $(READY) # the JSON Schemas in the docs
	$(BIN)/python -m edgevit.results.documents.json_schema docs/schemas

# Files of every kind changed at random: an answer or one clear error, in little time and memory.
FUZZ_SECONDS ?= 240
FUZZ_SEED ?= 0
fuzz: $(READY)
	PYTHONPATH=tests $(BIN)/python -m support.fuzzing.run_all --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

# Native model files changed at random, under the sanitizers of the C++ compiler.
fuzz-native: $(READY)
	PYTHONPATH=tests $(BIN)/python -m support.fuzzing.native_models --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

# Processes ended at random moments while they change files: nothing is lost.
CHAOS_KILLS ?= 1000
CHAOS_SEED ?= 0
chaos: $(READY)
	PYTHONPATH=tests $(BIN)/python -m support.chaos.run_chaos --kills $(CHAOS_KILLS) --seed $(CHAOS_SEED)

# The documentation site in out/site; a warning is an error.
docs: $(READY)
	$(BIN)/mkdocs build --strict --quiet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports

# The figures of docs/results.md.
bench: $(READY)
	$(BIN)/python benchmarks/latency.py

# The native engine against other runtimes and models.
bench-native: $(READY)
	$(BIN)/python benchmarks/native.py

# Instructions of one answer on arm64, emulated: the native engine against ONNX Runtime. Wants a QEMU
# that takes plugins (Debian 12: qemu-user), libstdc++6-arm64-cross and ONNX Runtime's C headers.
QEMU ?= qemu-aarch64
ARM64_LIBRARIES ?= /usr/aarch64-linux-gnu
ARM64_WHEELS ?= $(CURDIR)/out/arm64-wheels
count-arm64: $(READY)
	$(BIN)/python -m pip install --quiet "ziglang>=0.14,<1"
	$(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
		--platform manylinux_2_28_aarch64 --dest $(ARM64_WHEELS) onnxruntime==1.32.0
	PYTHONPATH=benchmarks $(BIN)/python -m engine.arm_instructions --qemu $(QEMU) \
		--libraries $(ARM64_LIBRARIES) --wheel $(ARM64_WHEELS)/onnxruntime-1.32.0-*aarch64.whl

# Builds the bundle that the package ships from the weights that it ships. VAL, a folder of labelled
# pictures (Tiny-ImageNet's val), adds INT8 for the native engine and calibrates probabilities.
prebuilt: $(READY)
	$(BIN)/python benchmarks/sample_photos.py out/photos
	$(BIN)/python packaging/prebuilt.py out/photos $(if $(VAL),--val $(VAL))

# Trains the zoo on this machine's CPU; can be stopped, and goes on. ZOO=NAME ... picks models.
# IMAGENETTE and TINY_IMAGENET are folders with train/ and val/; without one, its runs are left out.
train-zoo: $(READY)
	$(BIN)/python benchmarks/training/train_zoo.py $(if $(IMAGENETTE),--imagenette $(IMAGENETTE)) \
		$(if $(TINY_IMAGENET),--tiny-imagenet $(TINY_IMAGENET)) $(if $(ZOO),--only $(ZOO)) \
		--output runs/zoo

# Whether TensorRT-RTX builds every model, precision and compute capability: docs/compile.md's table.
tensorrt-builds: $(READY)
	$(BIN)/python benchmarks/tensorrt_builds.py --capability 8.0 8.6 8.9 12.0 --markdown

# Wheels for devices, with the native engine and without training weights, and a wheel of those:
# any Python from 3.10 on, x86-64 and aarch64, compiled by Zig for old systems too.
ZIG_WHEEL = EDGEVIT_PLATFORM=$(1) EDGEVIT_TARGET=$(2) $(BIN)/python -m pip wheel --quiet --no-deps \
	--no-build-isolation --wheel-dir dist .
wheels: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[wheels]"
	rm -rf build
	$(call ZIG_WHEEL,manylinux_2_17_x86_64,x86_64-linux-gnu.2.17)
	rm -rf build
	$(call ZIG_WHEEL,manylinux_2_17_aarch64,aarch64-linux-gnu.2.17)
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist packaging/weights

clean:
	rm -rf $(VENV) out build dist *.egg-info

# torch first and from its CPU index, so that nothing later pulls in the CUDA build.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --retries 1 "torch>=2.9,<2.14" \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(READY)

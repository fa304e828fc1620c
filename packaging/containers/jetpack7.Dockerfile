# edgevit on a Jetson with JetPack 7 (CUDA 13, SBSA). Written from NVIDIA's documentation, not built here.
#   docker build --file packaging/containers/jetpack7.Dockerfile --tag edgevit:jetpack7 .
#   docker run --rm --runtime nvidia --network host --volume "$PWD:/data" edgevit:jetpack7 doctor
FROM nvcr.io/nvidia/tensorrt:25.09-py3

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The system's OpenCV has GStreamer, which pip's lacks. TensorRT is in the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        g++ python3-dev python3-opencv python3-pip python3-venv \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
RUN python3 -m venv --system-site-packages /opt/edgevit \
    && /opt/edgevit/bin/pip install --no-cache-dir \
        "numpy>=1.26,<2" "msgspec>=0.19,<1" "onnxruntime>=1.18,<2" "typer>=0.12,<0.29" "rich>=13,<16" \
        "tomli>=2,<3" "aiohttp>=3.11,<4" "prometheus-client>=0.20,<1" "av>=14,<20" \
        "cuda-bindings>=13,<14" \
    && /opt/edgevit/bin/pip install --no-cache-dir --no-deps .

RUN useradd --create-home --groups video edgevit
# By name: which number is free depends on the base image.
# hadolint ignore=DL3066
USER edgevit
WORKDIR /data
ENTRYPOINT ["/opt/edgevit/bin/edgevit"]
CMD ["doctor"]

# edgevit on x86-64, for the CPU. Not built here.
#   docker build --file packaging/containers/x86.Dockerfile --tag edgevit:x86 .
#   docker run --rm --volume "$PWD:/data" edgevit:x86 bench
FROM python:3.12-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# What is installed lies here; the versions of its libraries are bounded in pyproject.toml.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[openvino,serve,video]" \
    && useradd --create-home --groups video edgevit
# By name: which number is free depends on the base image.
# hadolint ignore=DL3066
USER edgevit
WORKDIR /data
ENTRYPOINT ["edgevit"]
CMD ["doctor"]

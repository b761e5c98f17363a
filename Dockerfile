# chiasm on a CPU, with the packages that the tests were run with:  docker build -t chiasm .
#   docker run --rm -v "$PWD:/data" chiasm check cohort.toml
FROM python:3.11-slim

ENV OMP_NUM_THREADS=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 CHIASM_STORE=/data/.chiasm-store
WORKDIR /opt/chiasm
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install -c constraints.txt ".[demo]"

RUN useradd --create-home chiasm
USER chiasm
WORKDIR /data
ENTRYPOINT ["chiasm"]
CMD ["--help"]

# Self-hosting: docker build -t glpn . && docker run --init -p 7860:7860 -v glpn-cache:/cache glpn
# `docker stop -t 30` leaves the running estimate its 20 s to finish.
# BASE may carry a digest: --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim
FROM ${BASE}
RUN useradd --create-home --uid 1000 user && mkdir -p /cache/huggingface /cache/tmp && chown -R user /cache
USER user
WORKDIR /home/user/app
# Models and visitors' files lie outside the image's layers; the app sweeps the latter.
VOLUME /cache
ENV HF_HOME=/cache/huggingface \
    GRADIO_TEMP_DIR=/cache/tmp \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONUNBUFFERED=1 \
    GOMP_SPINCOUNT=2000 \
    VIRTUAL_ENV=/home/user/venv \
    PATH=/home/user/venv/bin:$PATH
COPY --chown=user requirements.txt requirements.lock .
# torch for the CPU, which is several times smaller; --build-arg TORCH=auto takes that for the graphics card.
ARG TORCH=cpu
RUN python -m venv /home/user/venv \
    && pip install --no-cache-dir uv==0.13.9 \
    && uv pip install --no-cache --require-hashes -r requirements.lock \
    && uv pip install --no-cache --torch-backend ${TORCH} -r requirements.txt
COPY --chown=user . .
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=5)"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]

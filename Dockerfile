# Self-hosting: docker build -t glpn . && docker run -p 7860:7860 -v glpn-cache:/home/user/.cache/huggingface glpn
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
ENV HF_HOME=/home/user/.cache/huggingface \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONUNBUFFERED=1 \
    PATH=/home/user/.local/bin:$PATH
RUN mkdir -p $HF_HOME
COPY --chown=user requirements.txt .
# Give --build-arg PIP_EXTRA_INDEX_URL=... to take torch without CUDA, which is several times smaller.
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir --user -r requirements.txt
COPY --chown=user . .
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/gradio_api/queue/status', timeout=5)"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]

FROM python:3.11-slim

# The engine for local models is linked to OpenMP.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

# Answers, keys and downloaded models live in the volume; everything else in the image is read-only for the app.
ENV PYTHONUNBUFFERED=1 \
    STILLROOM_HOME=/data \
    HF_HOME=/data/huggingface
RUN useradd --uid 1000 --create-home stillroom && install -d -o 1000 -g 1000 /data

# The packages come first: a change of code alone then builds in seconds.
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app/__init__.py app/
COPY components/__init__.py components/
RUN python -m pip install --no-cache-dir -c constraints.txt -e ".[local]"

COPY components components
COPY app app
COPY assets assets
RUN python -m compileall -q app components && chmod -R a+rX,go-w .

USER 1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 7860, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["stillroom", "serve", "--host", "0.0.0.0", "--port", "7860"]

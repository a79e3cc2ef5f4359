# The image of the service: its runtime dependencies, its code, and nothing else.

FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app

# Before the code, so that a change of the code does not install them again; in an
# environment of their own, so that nothing the base image brings can get in the way.
COPY requirements.txt ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install -r requirements.txt
ENV PATH=/opt/venv/bin:$PATH

COPY gunicorn.conf.py wsgi.py ./
COPY jobsvc ./jobsvc

# A fixed uid and gid, so that the owner of a mounted directory can be named beforehand.
RUN groupadd --gid 10001 jobsvc \
    && useradd --uid 10001 --gid jobsvc --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin jobsvc \
    && install --directory --owner=jobsvc --group=jobsvc --mode=0750 /data

# Everybody who reaches the container may use the service, so it starts only with
# JOBSVC_ALLOW_ANONYMOUS=1, which is left to whoever runs it.
ENV HOST=0.0.0.0 \
    PORT=8081 \
    JOBSVC_DATA_DIR=/data

USER 10001:10001
VOLUME /data
EXPOSE 8081

# The image has no curl; an answer other than 200 raises.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]

# A list, so that no shell stands between SIGTERM and gunicorn.
CMD ["gunicorn"]

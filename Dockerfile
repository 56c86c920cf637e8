# The image of Masthead: one for API, workers and commands.
# Linux on x86-64 only, because the packages of the embedded servers, which the commands can start, exist for no other.
FROM python:3.11.15-slim-trixie AS build
WORKDIR /build
COPY requirements.lock pyproject.toml ./
# What is installed is what pyproject.toml names for running, in the versions and with the hashes of requirements.lock:
# uv refuses a package, also one that another needs, without a hash there.
RUN awk '/^uv==/{on=1} on&&/^[^ ]/&&!/^uv==/{exit} on' requirements.lock > uv.lock \
 && pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement uv.lock \
 && python -m venv --without-pip /opt/masthead \
 && uv pip install --no-cache --compile-bytecode --python /opt/masthead/bin/python \
      --require-hashes --constraints requirements.lock --requirements pyproject.toml

WORKDIR /app
COPY pyproject.toml README.md worker.py ./
COPY activities ./activities
COPY api ./api
COPY bench ./bench
COPY connectors ./connectors
COPY contracts ./contracts
COPY documents ./documents
COPY domain ./domain
COPY flows ./flows
COPY masthead ./masthead
COPY operations ./operations
COPY runtime ./runtime
COPY sandbox ./sandbox
COPY storage ./storage
COPY workflows ./workflows
# Editable: the rooms stay the folders that they are, and the entry points of connectors and stand-ins are known.
RUN uv pip install --no-cache --python /opt/masthead/bin/python --no-deps \
      --build-constraints /build/requirements.lock --editable . \
 && /opt/masthead/bin/python -m compileall -q .

FROM python:3.11.15-slim-trixie
RUN groupadd --gid 10001 masthead \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/masthead --shell /usr/sbin/nologin masthead \
 && install --directory --mode 0700 --owner 10001 --group 10001 /var/lib/masthead
COPY --from=build /opt/masthead /opt/masthead
COPY --from=build /app /app
ENV PATH=/opt/masthead/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MASTHEAD_HOME=/var/lib/masthead
WORKDIR /app
USER 10001:10001
CMD ["masthead", "--help"]

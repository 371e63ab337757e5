FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE pytest_gobroke.py ./
COPY gobroke_dist gobroke_dist
COPY endpoints endpoints
RUN python -m venv /venv \
    && /venv/bin/pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /wheels . \
    && /venv/bin/pip install --quiet --no-cache-dir /wheels/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin gobroke \
    && install -d -o gobroke -g gobroke /app
COPY --from=build /venv /venv
# The application; an image of your own copies its own instead.
COPY examples /app/examples
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
USER gobroke
ENTRYPOINT ["gobroke"]
CMD ["--help"]

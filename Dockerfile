# The bot in a container: the versions of constraints.txt, and a user without rights.
FROM python:3.11-slim-bookworm

# Where torch comes from: this one is for processors; https://pypi.org/simple has the one for
# NVIDIA GPUs, which is several GB larger.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# First what changes seldom. asyncpg is for those who keep the history in PostgreSQL.
WORKDIR /opt/banter
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /tmp/requirements.txt \
    && pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" \
        --constraint constraints.txt --requirement /tmp/requirements.txt asyncpg \
    && rm /tmp/requirements.txt

# Editable: what stands here is what runs.
COPY README.md LICENSE ./
COPY bot/ bot/
COPY cogs/ cogs/
COPY migrations/ migrations/
COPY locales/ locales/
COPY deploy/ deploy/
RUN pip install --no-cache-dir --no-deps --editable . \
    && python -m compileall -q bot cogs migrations locales

# The database, its key and the models are in /banter/data; nothing else is written.
RUN useradd --uid 10001 --home-dir /banter --create-home --shell /usr/sbin/nologin banter \
    && install -d -o banter -g banter -m 700 /banter/data
WORKDIR /banter
USER banter
VOLUME /banter/data
ENV PYTHONUNBUFFERED=1

# A large model is fetched and loaded before the bot is on Discord.
HEALTHCHECK --start-period=15m --interval=30s --timeout=10s --retries=2 \
    CMD ["python", "-m", "bot", "health"]
ENTRYPOINT ["python", "/opt/banter/deploy/container_start.py"]

"""The SQL of the event store on PostgreSQL."""

import re
from functools import lru_cache
from itertools import count

from services.kernel.ledger import EVENT_COLUMNS
from services.kernel.postgres.connection import APPLICATION, CONNECT_TIMEOUT_S, OVERTAKEN
from services.kernel.sql_reads import ANSWERS

CHANNEL = "aftersales_log"
LOCK = f"SELECT pg_advisory_xact_lock({0x6170_7065_6E64_6572})"
"""Taken by whoever appends before positions are drawn, given back by the server once the commit is visible."""

# The lock comes before anything is looked at, and each statement of a volatile function sees what is committed by then.
# It is the session's function and not the schema's: programs of two versions side by side each bring their own.
CREATE_ADMIT = f"""
CREATE FUNCTION pg_temp.admit(
    judged_streams text[], judged_versions bigint[],
    judged_keys text[],
    judged_sources text[], judged_places text[], judged_sequences bigint[],
    judged_consumers text[], judged_claims text[], judged_epochs bigint[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM {LOCK.removeprefix("SELECT ")};
    IF EXISTS (
        SELECT FROM unnest(judged_streams, judged_versions) AS judged (stream, version)
        LEFT JOIN streams USING (stream) WHERE coalesce(streams.version, 0) <> judged.version
    ) OR EXISTS (
        SELECT FROM answers WHERE key = ANY (judged_keys)
    ) OR EXISTS (
        SELECT FROM unnest(judged_sources, judged_places, judged_sequences) AS judged (source, stream, sequence)
        LEFT JOIN inbox USING (source, stream) WHERE coalesce(inbox.sequence, 0) <> judged.sequence
    ) OR EXISTS (
        SELECT FROM unnest(judged_consumers, judged_claims, judged_epochs) AS judged (consumer, source, epoch)
        LEFT JOIN checkpoints USING (consumer, source) WHERE coalesce(checkpoints.epoch, 0) <> judged.epoch
    ) THEN
        RAISE EXCEPTION 'somebody else committed in between' USING ERRCODE = '{OVERTAKEN}';
    END IF;
    RETURN (SELECT coalesce(max(position), 0) FROM events);
END $$
"""
_ADMITTED = "SELECT pg_temp.admit(?, ?, ?, ?, ?, ?, ?, ?, ?) - ?::bigint AS shift"
_UNCHECKED = "SELECT coalesce(max(position), 0) - ?::bigint AS shift FROM events"

LOAD = f"""
SELECT
    ARRAY(SELECT ROW(stream, version, sequence, hash) FROM streams WHERE stream = ANY ($1::text[])),
    ARRAY(SELECT ROW(found.*) FROM ({ANSWERS} WHERE key = ANY ($2::text[])) AS found),
    ARRAY(
        SELECT ROW(source, stream, sequence) FROM inbox
        JOIN unnest($3::text[], $4::text[]) AS asked (source, stream) USING (source, stream)
    ),
    ARRAY(
        SELECT ROW(consumer, source, epoch) FROM checkpoints
        JOIN unnest($5::text[], $6::text[]) AS asked (consumer, source) USING (consumer, source)
    )
"""
# Under the lock of those who append: whoever has it is in the position, and who comes later finds the new epoch.
CLAIM = f"""
WITH alone AS MATERIALIZED ({LOCK})
INSERT INTO checkpoints (consumer, source, position, epoch) SELECT $1, $2, 0, 1 FROM alone
ON CONFLICT (consumer, source) DO UPDATE SET epoch = checkpoints.epoch + 1
RETURNING position, epoch
"""
_NOW = "extract(epoch FROM clock_timestamp())::float8"
HOLD = f"""
INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, {_NOW} + $3::float8)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.holder = excluded.holder OR leases.expires_at <= {_NOW}
RETURNING name
"""
HOLDER = f"SELECT holder FROM leases WHERE name = ? AND expires_at > {_NOW}"
LET_GO = "DELETE FROM leases WHERE name = $1 AND holder = $2"
LAST_POSITION = "SELECT coalesce(max(position), 0) FROM events"
POSITION_OF = "SELECT position FROM events WHERE stream = $1 AND version = $2 AND hash = $3"
END_SESSION = f"""
SELECT pg_terminate_backend(pid, {int(CONNECT_TIMEOUT_S * 1000)}) FROM pg_stat_activity
WHERE pid = $1 AND pid <> pg_backend_pid() AND application_name = '{APPLICATION}'
"""

_TABLES = {
    "events": (EVENT_COLUMNS, ""),
    "streams": (
        ("stream", "version", "sequence", "hash"),
        "ON CONFLICT (stream) DO UPDATE"
        " SET version = excluded.version, sequence = excluded.sequence, hash = excluded.hash",
    ),
    "answers": (("key", "request_hash", "status", "body", "created_at", "etag"), ""),
    "inbox": (
        ("source", "stream", "sequence"),
        "ON CONFLICT (source, stream) DO UPDATE SET sequence = excluded.sequence",
    ),
    "checkpoints": (
        ("consumer", "source", "position"),
        "ON CONFLICT (consumer, source) DO UPDATE SET position = excluded.position",
    ),
    "text_keys": (
        ("order_id", "number", "secret", "erased_at"),
        "ON CONFLICT (order_id, number) DO UPDATE SET secret = excluded.secret, erased_at = excluded.erased_at",
    ),
}
"""What a transaction writes to: the columns, and what becomes of a row that is there."""

_TYPES = dict.fromkeys(("version", "sequence", "schema", "position", "status", "number"), "bigint")
_TYPES |= dict.fromkeys(("data", "hash", "request_hash", "body", "secret"), "bytea")

_PLACE_OR_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|\?""")


@lru_cache(maxsize=4096)
def numbered(sql: str) -> str:
    """SQL with `$1`, `$2`, … for each `?` that does not stand in quotes."""
    numbers = count(1)
    return _PLACE_OR_QUOTED.sub(lambda found: f"${next(numbers)}" if found[0] == "?" else found[0], sql)


@lru_cache(maxsize=64)
def saving(tables: tuple[str, ...], checked: bool) -> str:
    """One statement that writes to these tables, each column of their rows given as an array."""
    inserts = [f"{table}_written AS ({_inserting(table)})" for table in tables]
    admitted = f"admitted AS MATERIALIZED ({_ADMITTED if checked else _UNCHECKED})"
    return numbered(f"WITH {', '.join([admitted, *inserts])} SELECT shift FROM admitted")


def _inserting(table: str) -> str:
    columns, conflict = _TABLES[table]
    names = ", ".join(columns)
    arrays = ", ".join(f"?::{_TYPES.get(name, 'text')}[]" for name in columns)
    values = names.replace("position", "position + shift") if table == "events" else names
    # Rows come from `admitted` too: none is written before it was evaluated.
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM admitted, unnest({arrays}) AS new ({names}) {conflict}"

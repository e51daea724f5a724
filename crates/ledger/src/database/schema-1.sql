-- Times are in milliseconds since 1970. Everything but `archive` follows from the log.

-- Up to here the log is in these tables: each share counts exactly once.
CREATE TABLE position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    next_commit INTEGER NOT NULL,
    -- The newest segment whose file may be gone.
    archived INTEGER NOT NULL
) STRICT;

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    user TEXT NOT NULL,
    -- Empty for shares whose miner named no worker.
    worker TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    hashes REAL NOT NULL,
    last_share_ms INTEGER NOT NULL,
    UNIQUE (user, worker)
) STRICT;

CREATE TABLE rejections (
    worker_id INTEGER NOT NULL REFERENCES workers,
    reason TEXT NOT NULL,
    shares INTEGER NOT NULL,
    PRIMARY KEY (worker_id, reason)
) STRICT, WITHOUT ROWID;

-- What workers did in segments whose files may be gone.
CREATE TABLE archive (
    worker_id INTEGER PRIMARY KEY REFERENCES workers,
    accepted INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    hashes REAL NOT NULL
) STRICT;

CREATE TABLE minutes (
    minute_ms INTEGER PRIMARY KEY,
    accepted INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    hashes REAL NOT NULL
) STRICT;

CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    height INTEGER,
    time_ms INTEGER NOT NULL,
    user TEXT NOT NULL,
    worker TEXT NOT NULL,
    peer TEXT NOT NULL,
    channel_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    -- Either of these two.
    template_id INTEGER,
    token TEXT,
    -- The number of the accepted share that it is, if it counts as one.
    share INTEGER,
    -- The newest one of `verdicts`.
    verdict TEXT,
    verdict_ms INTEGER,
    reason TEXT
) STRICT;

CREATE TABLE verdicts (
    hash TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT
) STRICT;

CREATE INDEX verdicts_by_hash ON verdicts (hash);

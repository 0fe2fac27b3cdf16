//! The journal's tables. A step is only ever added: files of every step are out there.

use super::super::sqlite::{Shape, Synchronous};

/// One file holds one chain, so `sender` and `nonce` stand for (chain, sender, nonce). Times are the
/// database's own and only for people.
pub(super) const SHAPE: Shape = Shape {
    name: "journal",
    id: 0x6273_6a6c, // "bsjl"
    synchronous: Synchronous::Full,
    steps: &[FIRST, SWEEPS],
};

const FIRST: &str = "
        CREATE TABLE meta (
            id       INTEGER PRIMARY KEY CHECK (id = 1),
            chain_id INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE intent (
            id               INTEGER PRIMARY KEY AUTOINCREMENT,
            at               INTEGER NOT NULL DEFAULT (unixepoch()),
            sender           BLOB NOT NULL,
            nonce            INTEGER NOT NULL,
            purpose          TEXT NOT NULL CHECK (purpose IN ('liquidate', 'deploy')),
            settled          INTEGER NOT NULL DEFAULT 0,
            market           TEXT,
            account          BLOB,
            debt_asset       BLOB,
            collateral_asset BLOB,
            repay            TEXT,
            block            INTEGER,
            deadline_block   INTEGER,
            promised_gross   TEXT,
            promised_gas     INTEGER,
            promised_net     TEXT,
            detail           TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX one_in_flight ON intent (sender) WHERE settled = 0;
        CREATE TABLE attempt (
            hash      BLOB PRIMARY KEY,
            intent    INTEGER NOT NULL REFERENCES intent,
            at        INTEGER NOT NULL DEFAULT (unixepoch()),
            sender    BLOB NOT NULL,
            nonce     INTEGER NOT NULL,
            seq       INTEGER NOT NULL,
            kind      TEXT NOT NULL CHECK (kind IN ('execute', 'cancel', 'deploy')),
            max_fee   TEXT NOT NULL,
            tip       TEXT NOT NULL,
            gas_limit INTEGER NOT NULL,
            raw       BLOB NOT NULL,
            UNIQUE (sender, nonce, seq)
        ) STRICT;
        CREATE INDEX attempts_of ON attempt (intent);
        CREATE TABLE broadcast (
            id      INTEGER PRIMARY KEY,
            hash    BLOB NOT NULL REFERENCES attempt,
            at      INTEGER NOT NULL DEFAULT (unixepoch()),
            outcome TEXT NOT NULL
        ) STRICT;
        CREATE TABLE receipt (
            id         INTEGER PRIMARY KEY AUTOINCREMENT,
            hash       BLOB NOT NULL REFERENCES attempt,
            at         INTEGER NOT NULL DEFAULT (unixepoch()),
            block      INTEGER NOT NULL,
            block_hash BLOB NOT NULL,
            succeeded  INTEGER NOT NULL,
            gas_used   INTEGER NOT NULL,
            gas_price  TEXT NOT NULL,
            UNIQUE (hash, block_hash)
        ) STRICT;
        CREATE TABLE verdict (
            intent         INTEGER PRIMARY KEY REFERENCES intent,
            at             INTEGER NOT NULL DEFAULT (unixepoch()),
            outcome        TEXT NOT NULL,
            realised_gross TEXT NOT NULL,
            realised_net   TEXT NOT NULL,
            gas_used       INTEGER NOT NULL
        ) STRICT;
    ";

/// The owner's sweeps are journaled too. SQLite changes no CHECK in place: the tables are written anew, children
/// dropped before their parents, in the one transaction all steps share.
const SWEEPS: &str = "
        CREATE TABLE new_intent (
            id               INTEGER PRIMARY KEY AUTOINCREMENT,
            at               INTEGER NOT NULL DEFAULT (unixepoch()),
            sender           BLOB NOT NULL,
            nonce            INTEGER NOT NULL,
            purpose          TEXT NOT NULL CHECK (purpose IN ('liquidate', 'deploy', 'sweep')),
            settled          INTEGER NOT NULL DEFAULT 0,
            market           TEXT,
            account          BLOB,
            debt_asset       BLOB,
            collateral_asset BLOB,
            repay            TEXT,
            block            INTEGER,
            deadline_block   INTEGER,
            promised_gross   TEXT,
            promised_gas     INTEGER,
            promised_net     TEXT,
            detail           TEXT NOT NULL
        ) STRICT;
        CREATE TABLE new_attempt (
            hash      BLOB PRIMARY KEY,
            intent    INTEGER NOT NULL REFERENCES new_intent,
            at        INTEGER NOT NULL DEFAULT (unixepoch()),
            sender    BLOB NOT NULL,
            nonce     INTEGER NOT NULL,
            seq       INTEGER NOT NULL,
            kind      TEXT NOT NULL CHECK (kind IN ('execute', 'cancel', 'deploy', 'salvage')),
            max_fee   TEXT NOT NULL,
            tip       TEXT NOT NULL,
            gas_limit INTEGER NOT NULL,
            raw       BLOB NOT NULL,
            UNIQUE (sender, nonce, seq)
        ) STRICT;
        CREATE TABLE new_broadcast (
            id      INTEGER PRIMARY KEY,
            hash    BLOB NOT NULL REFERENCES new_attempt,
            at      INTEGER NOT NULL DEFAULT (unixepoch()),
            outcome TEXT NOT NULL
        ) STRICT;
        CREATE TABLE new_receipt (
            id         INTEGER PRIMARY KEY AUTOINCREMENT,
            hash       BLOB NOT NULL REFERENCES new_attempt,
            at         INTEGER NOT NULL DEFAULT (unixepoch()),
            block      INTEGER NOT NULL,
            block_hash BLOB NOT NULL,
            succeeded  INTEGER NOT NULL,
            gas_used   INTEGER NOT NULL,
            gas_price  TEXT NOT NULL,
            UNIQUE (hash, block_hash)
        ) STRICT;
        CREATE TABLE new_verdict (
            intent         INTEGER PRIMARY KEY REFERENCES new_intent,
            at             INTEGER NOT NULL DEFAULT (unixepoch()),
            outcome        TEXT NOT NULL,
            realised_gross TEXT NOT NULL,
            realised_net   TEXT NOT NULL,
            gas_used       INTEGER NOT NULL
        ) STRICT;
        INSERT INTO new_intent SELECT * FROM intent;
        INSERT INTO new_attempt SELECT * FROM attempt;
        INSERT INTO new_broadcast SELECT * FROM broadcast;
        INSERT INTO new_receipt SELECT * FROM receipt;
        INSERT INTO new_verdict SELECT * FROM verdict;
        DROP TABLE verdict;
        DROP TABLE receipt;
        DROP TABLE broadcast;
        DROP TABLE attempt;
        DROP TABLE intent;
        ALTER TABLE new_intent RENAME TO intent;
        ALTER TABLE new_attempt RENAME TO attempt;
        ALTER TABLE new_broadcast RENAME TO broadcast;
        ALTER TABLE new_receipt RENAME TO receipt;
        ALTER TABLE new_verdict RENAME TO verdict;
        CREATE UNIQUE INDEX one_in_flight ON intent (sender) WHERE settled = 0;
        CREATE INDEX attempts_of ON attempt (intent);
    ";

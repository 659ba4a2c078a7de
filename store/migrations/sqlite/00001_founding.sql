-- Times are microseconds since 1970 in UTC by the store's clock. Every key begins
-- with the tenant but for what belongs to the installation or is found by hash.

-- +goose Up

CREATE TABLE profiles (
  hash    BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of text
  text    BLOB    NOT NULL,
  kept_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A month holds the certificates that expire in it; it is made on first use and
-- dropped as one when the last CRL that could name them is out.
CREATE TABLE months (
  month   INTEGER NOT NULL PRIMARY KEY,
  made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE certificates (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- what names and decisions refer to; never leaves the driver
  tenant     TEXT    NOT NULL,
  ca         TEXT    NOT NULL,
  month      INTEGER NOT NULL,
  serial     BLOB    NOT NULL CHECK (length(serial) = 16),
  der        BLOB    NOT NULL,
  not_before INTEGER NOT NULL,
  not_after  INTEGER NOT NULL,
  profile    TEXT    NOT NULL,
  requester  TEXT    NOT NULL,
  endpoint   TEXT    NOT NULL,
  trace      TEXT    NOT NULL,
  issued_at  INTEGER NOT NULL,
  subject    TEXT    NOT NULL,
  key_id     BLOB    NOT NULL,
  key_hash   BLOB    NOT NULL,
  tbs_hash   BLOB    NOT NULL,
  UNIQUE (tenant, ca, month, serial)
) STRICT;

-- Names and decisions lie in the order of issuance: a random key costs a page a
-- row, and they are found through their certificate anyway.
CREATE TABLE sans (
  certificate INTEGER NOT NULL,
  position    INTEGER NOT NULL,
  tenant      TEXT    NOT NULL,
  kind        INTEGER NOT NULL, -- context tag of RFC 5280 section 4.2.1.6
  value       BLOB    NOT NULL,
  PRIMARY KEY (certificate, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX sans_by_value ON sans (tenant, kind, value);

CREATE TABLE decisions (
  certificate  INTEGER PRIMARY KEY,
  tenant       TEXT    NOT NULL,
  profile_hash BLOB    NOT NULL REFERENCES profiles (hash),
  detail       BLOB    NOT NULL
) STRICT;

-- A revocation outlives its certificate, so it refers to none. State 'issued'
-- is a hold that was released.
CREATE TABLE revocations (
  tenant     TEXT    NOT NULL,
  ca         TEXT    NOT NULL,
  month      INTEGER NOT NULL,
  serial     BLOB    NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('revoked', 'held', 'issued')),
  reason     INTEGER NOT NULL,
  invalid    INTEGER,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, ca, month, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE status_feed (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant   TEXT    NOT NULL,
  ca       TEXT    NOT NULL,
  serial   BLOB    NOT NULL,
  state    TEXT    NOT NULL,
  reason   INTEGER NOT NULL,
  invalid  INTEGER,
  at       INTEGER NOT NULL
) STRICT;

-- Keys that were revoked for keyCompromise are refused in every tenant: the
-- hash is no tenant's data. tenant says whose revocation blocked it.
CREATE TABLE blocked_keys (
  key_hash   BLOB    NOT NULL PRIMARY KEY,
  tenant     TEXT    NOT NULL,
  blocked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  tenant  TEXT    NOT NULL,
  key     BLOB    NOT NULL,
  digest  BLOB    NOT NULL,
  ca      TEXT    NOT NULL,
  serial  BLOB    NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_expiry ON idempotency (expires);

-- One link of a replica's audit chain; see package trail for the hash.
CREATE TABLE batches (
  chain TEXT    NOT NULL, -- replica id
  seq   INTEGER NOT NULL,
  id    BLOB    NOT NULL CHECK (length(id) = 16),
  prev  BLOB    NOT NULL,
  hash  BLOB    NOT NULL,
  rows  INTEGER NOT NULL,
  at    INTEGER NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;

-- The rows of a batch lie together, in the order that its hash covers.
CREATE TABLE audit (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  batch  BLOB    NOT NULL,
  tenant TEXT    NOT NULL,
  event  TEXT    NOT NULL,
  actor  TEXT    NOT NULL,
  trace  TEXT    NOT NULL,
  detail BLOB    NOT NULL,
  at     INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_trace ON audit (trace) WHERE trace <> '';

-- Where each replica stands: the end of its chain, and the id of its last
-- commit, by which a commit of unknown outcome is settled.
CREATE TABLE chains (
  chain TEXT    NOT NULL PRIMARY KEY,
  seq   INTEGER NOT NULL,
  hash  BLOB    NOT NULL,
  last  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
  name   TEXT    NOT NULL PRIMARY KEY,
  holder TEXT    NOT NULL,
  fence  INTEGER NOT NULL,
  until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant  TEXT    NOT NULL,
  topic   TEXT    NOT NULL,
  payload BLOB    NOT NULL,
  at      INTEGER NOT NULL
) STRICT;

CREATE TABLE credential_uses (
  tenant  TEXT    NOT NULL,
  id      TEXT    NOT NULL,
  uses    INTEGER NOT NULL CHECK (uses >= 0),
  expires INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE data_keys (
  purpose    TEXT    NOT NULL,
  version    INTEGER NOT NULL,
  wrapped    BLOB    NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (purpose, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE ca_generations (
  tenant     TEXT    NOT NULL,
  ca         TEXT    NOT NULL,
  number     INTEGER NOT NULL,
  key_uri    TEXT    NOT NULL,
  der        BLOB    NOT NULL,
  chain      TEXT    NOT NULL, -- JSON list of base64
  root       BLOB    NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, ca, number)
) STRICT;

CREATE TABLE acme_accounts (
  tenant       TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  endpoint     TEXT    NOT NULL,
  status       TEXT    NOT NULL,
  key          BLOB    NOT NULL,
  thumbprint   BLOB    NOT NULL,
  contact      TEXT    NOT NULL, -- JSON list
  terms_agreed INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  PRIMARY KEY (tenant, id),
  UNIQUE (tenant, endpoint, thumbprint)
) STRICT;

CREATE TABLE acme_orders (
  tenant         TEXT    NOT NULL,
  id             TEXT    NOT NULL,
  endpoint       TEXT    NOT NULL,
  account        TEXT    NOT NULL,
  status         TEXT    NOT NULL,
  identifiers    TEXT    NOT NULL, -- JSON list
  authorizations TEXT    NOT NULL, -- JSON list of ids
  not_before     INTEGER,
  not_after      INTEGER,
  created_at     INTEGER NOT NULL,
  expires        INTEGER NOT NULL,
  certificate    TEXT,
  ca             TEXT,
  serial         BLOB,
  error          BLOB,
  PRIMARY KEY (tenant, id),
  UNIQUE (tenant, certificate),
  FOREIGN KEY (tenant, account) REFERENCES acme_accounts (tenant, id)
) STRICT;

CREATE TABLE acme_authorizations (
  tenant     TEXT    NOT NULL,
  id         TEXT    NOT NULL,
  endpoint   TEXT    NOT NULL,
  account    TEXT    NOT NULL,
  order_id   TEXT    NOT NULL,
  position   INTEGER NOT NULL,
  identifier TEXT    NOT NULL, -- JSON
  wildcard   INTEGER NOT NULL,
  status     TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  expires    INTEGER NOT NULL,
  challenges TEXT    NOT NULL, -- JSON list
  PRIMARY KEY (tenant, id),
  UNIQUE (tenant, order_id, position),
  FOREIGN KEY (tenant, order_id) REFERENCES acme_orders (tenant, id)
) STRICT;

CREATE TABLE acme_nonces (
  tenant  TEXT    NOT NULL,
  id      BLOB    NOT NULL CHECK (length(id) = 16),
  expires INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_nonces_by_expiry ON acme_nonces (expires);

-- What was issued, decided, revoked and audited is never deleted by who serves.

-- +goose StatementBegin
CREATE TRIGGER certificates_kept BEFORE DELETE ON certificates BEGIN SELECT RAISE(ABORT, 'certificates are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER certificates_final BEFORE UPDATE ON certificates BEGIN SELECT RAISE(ABORT, 'certificates never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sans_kept BEFORE DELETE ON sans BEGIN SELECT RAISE(ABORT, 'names are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sans_final BEFORE UPDATE ON sans BEGIN SELECT RAISE(ABORT, 'names never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decisions_final BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revocations_kept BEFORE DELETE ON revocations BEGIN SELECT RAISE(ABORT, 'revocations are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revocations_final BEFORE UPDATE ON revocations WHEN OLD.state = 'revoked'
  BEGIN SELECT RAISE(ABORT, 'only a hold may change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER status_feed_kept BEFORE DELETE ON status_feed BEGIN SELECT RAISE(ABORT, 'the status feed is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER status_feed_final BEFORE UPDATE ON status_feed BEGIN SELECT RAISE(ABORT, 'the status feed is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_final BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER batches_kept BEFORE DELETE ON batches BEGIN SELECT RAISE(ABORT, 'audit batches are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER batches_final BEFORE UPDATE ON batches BEGIN SELECT RAISE(ABORT, 'audit batches never change'); END;
-- +goose StatementEnd

-- What only one valid certificate may have, and requests that wait for an operator.

-- +goose Up

-- A row is taken over once its holder has ended, was revoked for good, or is
-- renewed; nothing is written when a certificate is revoked.
CREATE TABLE unique_values (
  tenant  TEXT    NOT NULL,
  value   BLOB    NOT NULL CHECK (length(value) = 32),
  ca      TEXT    NOT NULL,
  month   INTEGER NOT NULL,
  serial  BLOB    NOT NULL CHECK (length(serial) = 16),
  expires INTEGER NOT NULL, -- the holder's notAfter
  PRIMARY KEY (tenant, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX unique_values_by_expiry ON unique_values (expires);

CREATE TABLE pending_requests (
  tenant      TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  state       TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'issued', 'denied', 'expired', 'rejected')),
  door        TEXT    NOT NULL,
  endpoint    TEXT    NOT NULL,
  ca          TEXT    NOT NULL,
  profile     TEXT    NOT NULL,
  requester   TEXT    NOT NULL,
  operation   TEXT    NOT NULL,
  transaction_id TEXT NOT NULL,
  trace       TEXT    NOT NULL,
  subject     TEXT    NOT NULL,
  names       TEXT    NOT NULL, -- JSON list
  key         TEXT    NOT NULL,
  key_hash    BLOB    NOT NULL,
  created_at  INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  sealed      BLOB    NOT NULL,
  decided_at  INTEGER,
  decided_by  TEXT    NOT NULL DEFAULT '',
  reason      TEXT    NOT NULL DEFAULT '',
  approval    BLOB,
  serial      BLOB,
  kind        INTEGER NOT NULL DEFAULT 0,
  ended_at    INTEGER,
  idempotency BLOB,             -- key; NULL where nobody may repeat the request
  digest      BLOB    NOT NULL,
  replay      INTEGER NOT NULL, -- microseconds after the end in which it may be repeated
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX pending_requests_by_key ON pending_requests (tenant, idempotency) WHERE idempotency IS NOT NULL;
CREATE INDEX pending_requests_by_state ON pending_requests (tenant, state, id);
CREATE INDEX pending_requests_due ON pending_requests (state, expires, tenant, id) WHERE state IN ('pending', 'approved');
CREATE INDEX pending_requests_ended ON pending_requests (ended_at) WHERE ended_at IS NOT NULL;

-- Published certificate revocation lists. What each of them was is kept for
-- ever, so that any list that turns up later can be told ours; the bytes of
-- superseded ones may go, because every hour adds a copy of the whole list.

-- +goose Up

-- Which shard of its CA's CRL a revoked certificate names.
ALTER TABLE revocations ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;

-- Where each scope stands: the row that orders its publishers.
CREATE TABLE crl_heads (
  tenant   TEXT    NOT NULL,
  ca       TEXT    NOT NULL,
  scope    TEXT    NOT NULL,
  number   INTEGER NOT NULL,
  position INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  delta    INTEGER NOT NULL,
  PRIMARY KEY (tenant, ca, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE crls (
  tenant      TEXT    NOT NULL,
  ca          TEXT    NOT NULL,
  scope       TEXT    NOT NULL,
  number      INTEGER NOT NULL,
  base        INTEGER NOT NULL, -- 0: a complete list
  position    INTEGER NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  urls        TEXT    NOT NULL, -- one a line
  entries     INTEGER NOT NULL,
  sha256      BLOB    NOT NULL CHECK (length(sha256) = 32),
  size        INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (tenant, ca, scope, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX crls_complete ON crls (tenant, ca, scope, number) WHERE base = 0;
CREATE INDEX crls_delta ON crls (tenant, ca, scope, number) WHERE base > 0;

-- The bytes, in parts, found by their digest.
CREATE TABLE crl_parts (
  tenant TEXT    NOT NULL,
  ca     TEXT    NOT NULL,
  scope  TEXT    NOT NULL,
  sha256 BLOB    NOT NULL,
  n      INTEGER NOT NULL,
  part   BLOB    NOT NULL,
  UNIQUE (tenant, ca, scope, sha256, n)
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER crl_heads_kept BEFORE DELETE ON crl_heads BEGIN SELECT RAISE(ABORT, 'CRL numbers are never forgotten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER crl_heads_rise BEFORE UPDATE ON crl_heads WHEN new.number <= old.number OR new.position < old.position
  OR new.complete < old.complete OR new.delta < old.delta BEGIN SELECT RAISE(ABORT, 'CRL numbers only rise'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER crls_kept BEFORE DELETE ON crls BEGIN SELECT RAISE(ABORT, 'published CRLs are never forgotten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER crls_final BEFORE UPDATE ON crls BEGIN SELECT RAISE(ABORT, 'published CRLs never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER crl_parts_final BEFORE UPDATE ON crl_parts BEGIN SELECT RAISE(ABORT, 'published CRLs never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER crl_parts_current BEFORE DELETE ON crl_parts WHEN EXISTS (SELECT 1 FROM crl_heads h JOIN crls c
    ON c.tenant = h.tenant AND c.ca = h.ca AND c.scope = h.scope AND c.number IN (h.complete, h.delta)
    WHERE h.tenant = old.tenant AND h.ca = old.ca AND h.scope = old.scope AND c.sha256 = old.sha256)
  BEGIN SELECT RAISE(ABORT, 'the newest CRL stays'); END;
-- +goose StatementEnd

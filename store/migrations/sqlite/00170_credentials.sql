-- The registry of enrollment credentials, accounts that are bound to one, and
-- what the rest of RFC 8555 asks of accounts: their orders, and authorizations
-- that were opened before any order.

-- +goose Up

-- credential_uses, which nothing ever wrote to, is taken away by a later version.
CREATE TABLE credentials (
  tenant     TEXT    NOT NULL,
  id         TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  door       TEXT    NOT NULL,
  profile    TEXT    NOT NULL, -- '': every one
  endpoints  TEXT    NOT NULL, -- JSON list of ids; empty: every one of the door
  bindings   TEXT    NOT NULL, -- JSON
  secret     BLOB    NOT NULL, -- sealed, or an argon2id hash, or a keyed HMAC; by the kind
  lookup     BLOB,             -- keyed HMAC that a secret is found by
  granted    INTEGER,          -- uses in the beginning; NULL: no limit
  uses       INTEGER CHECK (uses >= 0), -- that are left
  expires    INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX credentials_by_lookup ON credentials (tenant, lookup) WHERE lookup IS NOT NULL;
CREATE INDEX credentials_by_expiry ON credentials (expires);

ALTER TABLE acme_accounts ADD COLUMN agreed TEXT NOT NULL DEFAULT ''; -- URL of the terms of service
ALTER TABLE acme_accounts ADD COLUMN external BLOB; -- JSON: the external account
ALTER TABLE acme_accounts ADD COLUMN preauthorized INTEGER NOT NULL DEFAULT 0;

CREATE INDEX acme_orders_by_account ON acme_orders (tenant, account, id);

-- An authorization may have no order (RFC 8555 section 7.4.1).
CREATE TABLE acme_authorizations_next (
  tenant     TEXT    NOT NULL,
  id         TEXT    NOT NULL,
  endpoint   TEXT    NOT NULL,
  account    TEXT    NOT NULL,
  order_id   TEXT, -- NULL: opened before any order
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
INSERT INTO acme_authorizations_next SELECT tenant, id, endpoint, account, order_id, position, identifier, wildcard, status, created_at,
  expires, challenges FROM acme_authorizations ORDER BY tenant, id;
DROP TABLE acme_authorizations;
ALTER TABLE acme_authorizations_next RENAME TO acme_authorizations;
CREATE INDEX acme_preauthorizations ON acme_authorizations (tenant, account, id) WHERE order_id IS NULL;
CREATE INDEX acme_preauthorizations_by_expiry ON acme_authorizations (expires) WHERE order_id IS NULL;

-- Fewer pages change with each certificate, so that the log that every commit
-- syncs is shorter.

-- +goose Up

-- The ids of used nonces rise with the time of their minting, and so do their
-- expiries: those that can go are the first of each tenant.
DROP INDEX acme_nonces_by_expiry;

-- Most certificates name their subject in their alternative names alone.
DROP INDEX certificates_by_subject;
CREATE INDEX certificates_by_subject ON certificates (tenant, subject) WHERE subject <> '';

-- An order is kept under its key, without a second tree that leads there, and it
-- has no certificate until it is finished. Foreign keys are checked at every
-- statement, so the rows that refer to orders step aside.
CREATE TABLE acme_authorizations_aside AS SELECT * FROM acme_authorizations;
CREATE TABLE acme_orders_aside AS SELECT * FROM acme_orders;
DROP TABLE acme_authorizations;
DROP TABLE acme_orders;

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
  FOREIGN KEY (tenant, account) REFERENCES acme_accounts (tenant, id)
) STRICT, WITHOUT ROWID;
INSERT INTO acme_orders SELECT tenant, id, endpoint, account, status, identifiers, authorizations, not_before, not_after, created_at,
  expires, certificate, ca, serial, error FROM acme_orders_aside ORDER BY tenant, id;
CREATE UNIQUE INDEX acme_orders_by_certificate ON acme_orders (tenant, certificate) WHERE certificate IS NOT NULL;
CREATE INDEX acme_orders_unfinished ON acme_orders (status, expires, tenant, id) WHERE status <> 'valid';
DROP TABLE acme_orders_aside;

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
INSERT INTO acme_authorizations SELECT tenant, id, endpoint, account, order_id, position, identifier, wildcard, status, created_at,
  expires, challenges FROM acme_authorizations_aside ORDER BY tenant, id;
DROP TABLE acme_authorizations_aside;

-- Who serves on this store, and what background work needs to find its rows.

-- +goose Up

CREATE TABLE replicas (
  id      TEXT    NOT NULL PRIMARY KEY,
  started INTEGER NOT NULL,
  seen    INTEGER NOT NULL,
  config  BLOB    NOT NULL, -- digest of the policy
  schema  INTEGER NOT NULL,
  version TEXT    NOT NULL,
  skew    INTEGER NOT NULL  -- microseconds, store's clock minus the replica's
) STRICT, WITHOUT ROWID;

-- Only orders that have not led to a certificate: the others never expire here.
CREATE INDEX acme_orders_unfinished ON acme_orders (status, expires, tenant, id) WHERE status <> 'valid';

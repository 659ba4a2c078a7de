-- Renewal information (RFC 9773) and profiles of orders (draft-ietf-acme-profiles).

-- +goose Up

ALTER TABLE acme_orders ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE acme_orders ADD COLUMN replaces TEXT NOT NULL DEFAULT '';

-- Which order brought the successor of a certificate: at most one does.
CREATE TABLE acme_replacements (
  tenant   TEXT    NOT NULL,
  ca       TEXT    NOT NULL,
  serial   BLOB    NOT NULL,
  order_id TEXT    NOT NULL,
  expires  INTEGER NOT NULL, -- with the certificate that was replaced
  PRIMARY KEY (tenant, ca, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_replacements_by_expiry ON acme_replacements (expires);

-- When operators want certificates to be renewed.
CREATE TABLE renewal_windows (
  tenant      TEXT    NOT NULL,
  ca          TEXT    NOT NULL,
  serial      BLOB    NOT NULL,
  opens       INTEGER NOT NULL,
  closes      INTEGER NOT NULL,
  explanation TEXT    NOT NULL,
  expires     INTEGER NOT NULL, -- with the certificate
  PRIMARY KEY (tenant, ca, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX renewal_windows_by_expiry ON renewal_windows (expires);

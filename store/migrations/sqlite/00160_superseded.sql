-- Certificates that were renewed under a profile that has them revoked for it.

-- +goose Up

CREATE TABLE superseded (
  tenant    TEXT    NOT NULL,
  ca        TEXT    NOT NULL,
  month     INTEGER NOT NULL,
  serial    BLOB    NOT NULL CHECK (length(serial) = 16),
  successor BLOB    NOT NULL CHECK (length(successor) = 16),
  due       INTEGER NOT NULL,
  expires   INTEGER NOT NULL, -- no sooner than the certificate: nothing needs to be revoked then
  PRIMARY KEY (tenant, ca, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX superseded_by_due ON superseded (due);

-- What rate limits count, shared by replicas.

-- +goose Up

CREATE TABLE acme_rates (
  tenant  TEXT    NOT NULL,
  id      BLOB    NOT NULL, -- hash of what is limited and of the window
  counted INTEGER NOT NULL,
  expires INTEGER NOT NULL, -- the window's end
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_rates_by_expiry ON acme_rates (expires);

-- What only one reply carries, such as a key that was made for a client: sealed,
-- and kept for as long as the client may ask for it again.

-- +goose Up

CREATE TABLE kept_replies (
  tenant  TEXT    NOT NULL,
  id      TEXT    NOT NULL,
  sealed  BLOB    NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_replies_by_expiry ON kept_replies (expires);

-- The audit trail can be verified in bounded time, and its heads are signed;
-- data keys know which key-encryption key they are wrapped with.

-- +goose Up

-- Where a batch's rows begin: they lie together, so that no index is needed.
ALTER TABLE batches ADD COLUMN first_row INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER batches_final;
CREATE INDEX audit_while_migrating ON audit (batch);
UPDATE batches SET first_row = coalesce((SELECT min(a.id) FROM audit a WHERE a.batch = batches.id), 0);
DROP INDEX audit_while_migrating;
-- +goose StatementBegin
CREATE TRIGGER batches_final BEFORE UPDATE ON batches BEGIN SELECT RAISE(ABORT, 'audit batches never change'); END;
-- +goose StatementEnd

-- Signed statements of where a chain stood, one list over all chains.
CREATE TABLE audit_checkpoints (
  number    INTEGER NOT NULL PRIMARY KEY,
  chain     TEXT    NOT NULL,
  seq       INTEGER NOT NULL,
  hash      BLOB    NOT NULL,
  rows      INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  prev      BLOB    NOT NULL,
  key       INTEGER NOT NULL,
  signature BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_checkpoints_by_chain ON audit_checkpoints (chain, seq);

CREATE TABLE audit_keys (
  version    INTEGER NOT NULL PRIMARY KEY,
  public     BLOB    NOT NULL,
  sealed     BLOB    NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_kept BEFORE DELETE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'checkpoints are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_final BEFORE UPDATE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'checkpoints never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_keys_kept BEFORE DELETE ON audit_keys BEGIN SELECT RAISE(ABORT, 'audit keys are never deleted'); END;
-- +goose StatementEnd

-- Which key-encryption key data_keys are wrapped with.
CREATE TABLE seal_kek (
  only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
  id       BLOB    NOT NULL CHECK (length(id) = 32)
) STRICT;

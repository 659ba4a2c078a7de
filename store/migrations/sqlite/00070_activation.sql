-- Which generation of a CA signs, and from when: decisions that are added, the
-- latest one whose time has come in force. Without any, generation 1 signs.

-- +goose Up

CREATE TABLE ca_activations (
  tenant     TEXT    NOT NULL,
  ca         TEXT    NOT NULL,
  position   INTEGER NOT NULL CHECK (position > 0),
  generation INTEGER NOT NULL,
  signs_from INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, ca, position),
  FOREIGN KEY (tenant, ca, generation) REFERENCES ca_generations (tenant, ca, number)
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER ca_activations_kept BEFORE DELETE ON ca_activations BEGIN SELECT RAISE(ABORT, 'activations are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ca_activations_final BEFORE UPDATE ON ca_activations BEGIN SELECT RAISE(ABORT, 'activations never change'); END;
-- +goose StatementEnd

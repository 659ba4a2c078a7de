-- What operators look for is found by an index: names by their end (the octets
-- backwards, so that an exact name is a whole match of the same index),
-- certificates by subject, requester and key identifier, audit rows by trace
-- and by the serial that their detail names. The issuance itself has a trace
-- id, so only the rare other rows are indexed by serial.

-- +goose Up

ALTER TABLE sans ADD COLUMN reversed BLOB NOT NULL DEFAULT x'';
DROP TRIGGER sans_final;
UPDATE sans SET reversed = unhex((
  WITH RECURSIVE back(i, text) AS (
    SELECT 0, ''
    UNION ALL SELECT i + 1, substr(hex(value), 2 * i + 1, 2) || text FROM back WHERE i < length(value))
  SELECT text FROM back ORDER BY i DESC LIMIT 1));
-- +goose StatementBegin
CREATE TRIGGER sans_final BEFORE UPDATE ON sans BEGIN SELECT RAISE(ABORT, 'names never change'); END;
-- +goose StatementEnd
DROP INDEX sans_by_value;
CREATE INDEX sans_by_name ON sans (tenant, kind, reversed);

CREATE INDEX certificates_by_subject ON certificates (tenant, subject);
CREATE INDEX certificates_by_requester ON certificates (tenant, requester);
CREATE INDEX certificates_by_key ON certificates (tenant, key_id);

ALTER TABLE audit ADD COLUMN about TEXT GENERATED ALWAYS AS (
  CASE WHEN event <> 'certificate.issued' AND instr(CAST(detail AS TEXT), '"serial":"') > 0
    THEN substr(CAST(detail AS TEXT), instr(CAST(detail AS TEXT), '"serial":"') + 10, 32) END) VIRTUAL;
CREATE INDEX audit_by_serial ON audit (about) WHERE about IS NOT NULL;

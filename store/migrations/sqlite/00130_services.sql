-- Certificates of the gateway's own that all replicas use, with their keys. The
-- highest number of each service is in use, those before it wait for messages
-- in flight; the certificates themselves are recorded like any other.

-- +goose Up

CREATE TABLE service_certificates (
  tenant     TEXT    NOT NULL,
  ca         TEXT    NOT NULL,
  service    TEXT    NOT NULL,
  number     INTEGER NOT NULL CHECK (number > 0),
  der        BLOB    NOT NULL,
  not_after  INTEGER NOT NULL,
  sealed     BLOB,          -- the key; NULL where it is at key_uri
  key_uri    TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, ca, service, number),
  CHECK ((sealed IS NULL) = (key_uri <> ''))
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER service_certificates_final BEFORE UPDATE ON service_certificates
  BEGIN SELECT RAISE(ABORT, 'service certificates never change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER service_certificates_current BEFORE DELETE ON service_certificates WHEN NOT EXISTS (SELECT 1 FROM service_certificates n
    WHERE n.tenant = old.tenant AND n.ca = old.ca AND n.service = old.service AND n.number > old.number)
  BEGIN SELECT RAISE(ABORT, 'the newest service certificate stays'); END;
-- +goose StatementEnd

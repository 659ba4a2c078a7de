-- Keys that an ACME account had before: records of dns-persist-01 name them on.

-- +goose Up

ALTER TABLE acme_accounts ADD COLUMN former TEXT NOT NULL DEFAULT ''; -- thumbprints in hex, newest first

-- Keys that an ACME account had before: records of dns-persist-01 name them on.

-- +goose Up

alter table enrollgate.acme_accounts add column former bytea not null default ''; -- thumbprints, newest first

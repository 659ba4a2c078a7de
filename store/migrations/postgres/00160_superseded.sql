-- Certificates that were renewed under a profile that has them revoked for it.

-- +goose Up

create table enrollgate.superseded (
    tenant    text        not null,
    ca        text        not null,
    serial    bytea       not null check (octet_length(serial) = 16),
    successor bytea       not null check (octet_length(successor) = 16),
    due       timestamptz not null,
    expires   timestamptz not null, -- no sooner than the certificate: nothing needs to be revoked then
    primary key (tenant, ca, serial)
);
create index superseded_by_due on enrollgate.superseded (due);

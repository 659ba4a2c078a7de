-- Who serves on this store, and what background work needs to find its rows.

-- +goose Up

create table enrollgate.replicas (
    id      text        primary key,
    started timestamptz not null,
    seen    timestamptz not null,
    config  bytea       not null, -- digest of the policy
    schema  bigint      not null,
    version text        not null,
    skew    interval    not null  -- store's clock minus the replica's
);

-- Only orders that have not led to a certificate: the others never expire here.
create index acme_orders_unfinished on enrollgate.acme_orders (status, expires) where status <> 'valid';

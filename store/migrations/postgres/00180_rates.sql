-- What rate limits count, shared by replicas.

-- +goose Up

create table enrollgate.acme_rates (
    tenant  text        not null,
    id      bytea       not null, -- hash of what is limited and of the window
    counted bigint      not null,
    expires timestamptz not null, -- the window's end
    primary key (id, tenant)
);
create index acme_rates_expires on enrollgate.acme_rates (expires);

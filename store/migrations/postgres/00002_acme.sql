-- What the ACME door remembers (RFC 8555 section 7.1). Random ids come first in
-- their keys: no plan can then walk a whole tenant to find one of them.

-- +goose Up

create table enrollgate.acme_accounts (
    tenant     text        not null,
    endpoint   text        not null,
    id         text        not null,
    status     text        not null,
    key        bytea       not null, -- public JWK, canonical JSON (RFC 7638)
    thumbprint bytea       not null,
    contact    text[]      not null,
    terms      boolean     not null,
    created_at timestamptz not null,
    primary key (id, tenant),
    unique (thumbprint, endpoint, tenant)
);

create table enrollgate.acme_orders (
    tenant         text        not null,
    endpoint       text        not null,
    id             text        not null,
    account        text        not null,
    status         text        not null,
    identifiers    bytea       not null, -- JSON
    not_before     timestamptz,
    not_after      timestamptz,
    created_at     timestamptz not null,
    expires        timestamptz not null,
    authorizations text[]      not null,
    certificate    text,
    ca             text        not null default '',
    serial         bytea,
    error          bytea,
    primary key (id, tenant)
) with (fillfactor = 80);
create unique index acme_orders_certificate on enrollgate.acme_orders (certificate, tenant) where certificate is not null;

create table enrollgate.acme_authorizations (
    tenant     text        not null,
    endpoint   text        not null,
    id         text        not null,
    account    text        not null,
    type       text        not null,
    value      text        not null,
    wildcard   boolean     not null,
    status     text        not null,
    created_at timestamptz not null,
    expires    timestamptz not null,
    challenges bytea       not null, -- JSON
    primary key (id, tenant)
) with (fillfactor = 60);

-- Used nonces, until they could not be used anyway.
create table enrollgate.acme_nonces (
    tenant  text        not null,
    id      bytea       not null,
    expires timestamptz not null,
    primary key (id, tenant)
);
create index acme_nonces_expires on enrollgate.acme_nonces (expires);

-- The registry of enrollment credentials, accounts that are bound to one, and
-- what the rest of RFC 8555 asks of accounts: their orders, and authorizations
-- that were opened before any order.

-- +goose Up

-- credential_uses, which nothing ever wrote to, is taken away by a later version.
create table enrollgate.credentials (
    tenant     text        not null,
    id         text        not null,
    kind       text        not null,
    door       text        not null,
    profile    text        not null, -- '': every one
    endpoints  text[]      not null, -- ids; empty: every one of the door
    bindings   bytea       not null, -- JSON
    secret     bytea       not null, -- sealed, or an argon2id hash, or a keyed HMAC; by the kind
    lookup     bytea,                -- keyed HMAC that a secret is found by
    granted    integer,              -- uses in the beginning; null: no limit
    uses       integer     check (uses >= 0), -- that are left
    expires    timestamptz not null,
    created_at timestamptz not null,
    revoked_at timestamptz,
    primary key (id, tenant)
);
create unique index credentials_lookup on enrollgate.credentials (lookup, tenant) where lookup is not null;
create index credentials_list on enrollgate.credentials (tenant, id);
create index credentials_expires on enrollgate.credentials (expires);

alter table enrollgate.acme_accounts
    add column agreed text not null default '', -- URL of the terms of service
    add column external bytea, -- JSON: the external account
    add column preauthorized boolean not null default false;

create index acme_orders_account on enrollgate.acme_orders (account, id, tenant);

-- An authorization may have no order (RFC 8555 section 7.4.1).
alter table enrollgate.acme_authorizations add column preauthorized boolean not null default false;
create index acme_preauthorizations on enrollgate.acme_authorizations (account, tenant, id) where preauthorized;
create index acme_preauthorizations_expires on enrollgate.acme_authorizations (expires) where preauthorized;

-- What only one valid certificate may have, and requests that wait for an operator.

-- +goose Up

-- A row is taken over once its holder has ended, was revoked for good, or is
-- renewed; nothing is written when a certificate is revoked.
create table enrollgate.unique_values (
    tenant  text        not null,
    value   bytea       not null check (octet_length(value) = 32),
    ca      text        not null,
    serial  bytea       not null check (octet_length(serial) = 16),
    expires timestamptz not null, -- the holder's notAfter
    primary key (tenant, value)
);
create index unique_values_by_expiry on enrollgate.unique_values (expires);

create table enrollgate.pending_requests (
    tenant      text        not null,
    id          text        not null,
    state       text        not null check (state in ('pending', 'approved', 'issued', 'denied', 'expired', 'rejected')),
    door        text        not null,
    endpoint    text        not null,
    ca          text        not null,
    profile     text        not null,
    requester   text        not null,
    operation   text        not null,
    transaction_id text     not null,
    trace       text        not null,
    subject     text        not null,
    names       text[]      not null,
    key         text        not null,
    key_hash    bytea       not null,
    created_at  timestamptz not null,
    expires     timestamptz not null,
    sealed      bytea       not null,
    decided_at  timestamptz,
    decided_by  text        not null default '',
    reason      text        not null default '',
    approval    bytea,
    serial      bytea,
    kind        smallint    not null default 0,
    ended_at    timestamptz,
    idempotency bytea,                -- key; null where nobody may repeat the request
    digest      bytea       not null,
    replay      bigint      not null, -- microseconds after the end in which it may be repeated
    primary key (tenant, id)
);
create unique index pending_requests_by_key on enrollgate.pending_requests (tenant, idempotency) where idempotency is not null;
create index pending_requests_by_state on enrollgate.pending_requests (tenant, state, id);
create index pending_requests_due on enrollgate.pending_requests (state, expires) where state in ('pending', 'approved');
create index pending_requests_ended on enrollgate.pending_requests (ended_at) where ended_at is not null;

-- The heads of the audit trail are signed; data keys know which key-encryption
-- key they are wrapped with.

-- +goose Up

-- Signed statements of where a chain stood, one list over all chains.
create table enrollgate.audit_checkpoints (
    number    bigint      primary key,
    chain     text        not null,
    seq       bigint      not null,
    hash      bytea       not null,
    rows      bigint      not null,
    at        timestamptz not null,
    prev      bytea       not null,
    key       integer     not null,
    signature bytea       not null
);
create index audit_checkpoints_by_chain on enrollgate.audit_checkpoints (chain, seq);

create table enrollgate.audit_keys (
    version    integer     primary key,
    public     bytea       not null,
    sealed     bytea       not null,
    created_at timestamptz not null
);

create trigger refuse before update or delete or truncate on enrollgate.audit_checkpoints for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.audit_keys for each statement execute function enrollgate.refuse();

-- Which key-encryption key data_keys are wrapped with.
create table enrollgate.seal_kek (
    only_row boolean primary key default true check (only_row),
    id       bytea   not null check (octet_length(id) = 32)
);

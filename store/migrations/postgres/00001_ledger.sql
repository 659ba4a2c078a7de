-- What the core remembers. Everything lives in the schema "enrollgate", owned
-- by the migrating role. Every row carries its tenant.
-- Versions only add; a version that takes something away raises
-- compatibility.least to the oldest program that can live with it.

-- +goose Up

create table enrollgate.compatibility (
    only_row boolean primary key default true check (only_row),
    least    bigint  not null
);
insert into enrollgate.compatibility (least) values (1);

-- Partitioned by the month of expiry, which is the start of the serial.
create table enrollgate.months (
    month   integer primary key check (month between 256 and 32767),
    made_at timestamptz not null default now()
);

create table enrollgate.certificates (
    tenant     text        not null,
    ca         text        not null,
    month      integer     not null,
    serial     bytea       not null check (octet_length(serial) = 16),
    der        bytea       not null,
    not_before timestamptz not null,
    not_after  timestamptz not null,
    profile    text        not null,
    requester  text        not null,
    endpoint   text        not null,
    trace      text        not null,
    subject    text        not null,
    key_id     bytea       not null,
    key_hash   bytea       not null,
    tbs_hash   bytea       not null,
    issued_at  timestamptz not null,
    primary key (tenant, ca, month, serial)
) partition by list (month);
alter table enrollgate.certificates alter column der set storage external;

create table enrollgate.sans (
    tenant text     not null,
    ca     text     not null,
    month  integer  not null,
    serial bytea    not null,
    n      smallint not null,
    kind   smallint not null, -- context tag of the GeneralName (RFC 5280 section 4.2.1.6)
    value  bytea    not null, -- its content octets
    primary key (tenant, ca, month, serial, n)
) partition by list (month);

create table enrollgate.decisions (
    tenant       text    not null,
    ca           text    not null,
    month        integer not null,
    serial       bytea   not null,
    profile_hash bytea   not null,
    detail       bytea   not null, -- JSON
    primary key (tenant, ca, month, serial)
) partition by list (month);

-- A revocation outlives its certificate, so it has a table of its own that is
-- not partitioned. The row holds the current status; the feed holds its history.
create table enrollgate.revocations (
    tenant  text        not null,
    ca      text        not null,
    serial  bytea       not null,
    state   text        not null check (state in ('issued', 'held', 'revoked')),
    reason  smallint    not null,
    invalid timestamptz,
    at      timestamptz not null,
    primary key (tenant, ca, serial)
);

create table enrollgate.blocked_keys (
    key_hash bytea       not null,
    tenant   text        not null, -- who revoked it
    at       timestamptz not null,
    primary key (key_hash, tenant)
);

create table enrollgate.feed_position (
    only_row boolean primary key default true check (only_row),
    last     bigint not null
);
insert into enrollgate.feed_position (last) values (0);

create table enrollgate.status_feed (
    position bigint      primary key,
    tenant   text        not null,
    ca       text        not null,
    serial   bytea       not null,
    state    text        not null,
    reason   smallint    not null,
    invalid  timestamptz,
    at       timestamptz not null
);

create table enrollgate.idempotency (
    tenant  text        not null,
    key     bytea       not null,
    digest  bytea       not null,
    ca      text        not null,
    serial  bytea       not null,
    expires timestamptz not null,
    primary key (tenant, key)
);
create index idempotency_expires on enrollgate.idempotency (expires);

create table enrollgate.profiles (
    hash bytea primary key,
    text bytea not null,
    at   timestamptz not null
);

-- The audit trail: one hash chain for each writer of each replica, one link a batch.
create table enrollgate.chains (
    number integer generated always as identity primary key,
    name   text not null unique
);

create table enrollgate.batches (
    chain integer     not null,
    seq   bigint      not null,
    id    bytea       not null unique check (octet_length(id) = 16),
    prev  bytea       not null,
    hash  bytea       not null,
    rows  integer     not null,
    void  boolean     not null, -- a commit whose outcome was unknown and that, by this row, can never happen
    at    timestamptz not null,
    primary key (chain, seq)
);

create table enrollgate.audit (
    chain  integer     not null,
    seq    bigint      not null,
    n      integer     not null,
    tenant text        not null,
    event  text        not null,
    actor  text        not null,
    trace  text        not null,
    detail bytea       not null,
    at     timestamptz not null,
    primary key (chain, seq, n)
);

create table enrollgate.leases (
    name   text        primary key,
    holder text        not null,
    fence  bigint      not null,
    until  timestamptz not null
);

create table enrollgate.outbox (
    tenant  text        not null,
    id      bigint      generated always as identity,
    topic   text        not null,
    payload bytea       not null,
    at      timestamptz not null,
    primary key (id)
);

create table enrollgate.generations (
    tenant     text        not null,
    ca         text        not null,
    number     integer     not null,
    key_uri    text        not null,
    der        bytea       not null,
    chain      bytea[]     not null,
    root       bytea       not null,
    created_at timestamptz not null,
    primary key (tenant, ca, number)
);

create table enrollgate.data_keys (
    purpose    text        not null,
    version    integer     not null,
    wrapped    bytea       not null,
    created_at timestamptz not null,
    primary key (purpose, version)
);

create table enrollgate.credential_uses (
    tenant  text        not null,
    id      text        not null,
    uses    integer     not null check (uses >= 0),
    expires timestamptz not null,
    primary key (tenant, id)
);

-- Nobody takes a line of the record back, not even the owner by mistake.
-- +goose StatementBegin
create function enrollgate.refuse() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '% on %.% is refused: this table keeps every row it was given', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;
-- +goose StatementEnd

create trigger refuse before update or delete or truncate on enrollgate.certificates for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.sans for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.decisions for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.status_feed for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.batches for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.audit for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.profiles for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.chains for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.generations for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.blocked_keys for each statement execute function enrollgate.refuse();
create trigger refuse before delete or truncate on enrollgate.revocations for each statement execute function enrollgate.refuse();

-- ensure_month makes the partitions of an expiry month. It runs with the
-- owner's rights, so that the runtime role needs none to create tables. A new
-- table is attached instead of created as a partition, because attaching does
-- not lock the parent against writers.
-- +goose StatementBegin
create function enrollgate.ensure_month(wanted integer) returns boolean language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
declare
    parent text;
    part   text;
begin
    if wanted is null or wanted < 256 or wanted > 32767 then
        raise exception 'month % is outside 256 to 32767', wanted using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from enrollgate.months m where m.month = wanted) then
        return false;
    end if;
    lock table enrollgate.months in share row exclusive mode;
    if exists (select from enrollgate.months m where m.month = wanted) then
        return false;
    end if;
    foreach parent in array array['certificates', 'sans', 'decisions'] loop
        part := parent || '_' || wanted;
        execute format('create table enrollgate.%I (like enrollgate.%I including all)', part, parent);
        execute format('create trigger refuse before update or delete or truncate on enrollgate.%I for each statement execute function enrollgate.refuse()', part);
        execute format('alter table enrollgate.%I attach partition enrollgate.%I for values in (%s)', parent, part, wanted);
    end loop;
    insert into enrollgate.months (month) values (wanted);
    return true;
end $$;
-- +goose StatementEnd
revoke all on function enrollgate.ensure_month(integer) from public;

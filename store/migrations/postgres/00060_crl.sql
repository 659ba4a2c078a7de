-- Published certificate revocation lists. What each of them was is kept for
-- ever, so that any list that turns up later can be told ours; the bytes of
-- superseded ones may go, because every hour adds a copy of the whole list.

-- +goose Up

-- Which shard of its CA's CRL a revoked certificate names.
alter table enrollgate.revocations add column shard integer not null default 0;

-- Where each scope stands: the row that orders its publishers.
create table enrollgate.crl_heads (
    tenant   text   not null,
    ca       text   not null,
    scope    text   not null,
    number   bigint not null,
    position bigint not null,
    complete bigint not null,
    delta    bigint not null,
    primary key (tenant, ca, scope)
);

create table enrollgate.crls (
    tenant      text        not null,
    ca          text        not null,
    scope       text        not null,
    number      bigint      not null,
    base        bigint      not null, -- 0: a complete list
    position    bigint      not null,
    this_update timestamptz not null,
    next_update timestamptz not null,
    urls        text[]      not null,
    entries     bigint      not null,
    sha256      bytea       not null check (octet_length(sha256) = 32),
    size        bigint      not null,
    at          timestamptz not null,
    primary key (tenant, ca, scope, number)
);
create index crls_complete on enrollgate.crls (tenant, ca, scope, number) where base = 0;
create index crls_delta on enrollgate.crls (tenant, ca, scope, number) where base > 0;

-- The bytes, in parts, found by their digest.
create table enrollgate.crl_parts (
    tenant text    not null,
    ca     text    not null,
    scope  text    not null,
    sha256 bytea   not null,
    n      integer not null,
    part   bytea   not null,
    primary key (tenant, ca, scope, sha256, n)
);
alter table enrollgate.crl_parts alter column part set storage external;

-- +goose StatementBegin
create function enrollgate.crl_numbers_rise() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    if new.number <= old.number or new.position < old.position or new.complete < old.complete or new.delta < old.delta then
        raise exception 'CRL numbers only rise' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
-- +goose StatementEnd

-- +goose StatementBegin
create function enrollgate.newest_crl_stays() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from enrollgate.crl_heads h join enrollgate.crls c
            on c.tenant = h.tenant and c.ca = h.ca and c.scope = h.scope and c.number in (h.complete, h.delta)
            where h.tenant = old.tenant and h.ca = old.ca and h.scope = old.scope and c.sha256 = old.sha256) then
        raise exception 'the newest CRL stays' using errcode = 'insufficient_privilege';
    end if;
    return old;
end $$;
-- +goose StatementEnd

create trigger rise before update on enrollgate.crl_heads for each row execute function enrollgate.crl_numbers_rise();
create trigger refuse before delete or truncate on enrollgate.crl_heads for each statement execute function enrollgate.refuse();
create trigger refuse before update or delete or truncate on enrollgate.crls for each statement execute function enrollgate.refuse();
create trigger refuse before update or truncate on enrollgate.crl_parts for each statement execute function enrollgate.refuse();
create trigger newest before delete on enrollgate.crl_parts for each row execute function enrollgate.newest_crl_stays();

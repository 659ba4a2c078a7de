-- Months that ended long ago are dropped: certificates with their names and
-- decisions. The runtime role can neither delete rows nor drop tables; it asks
-- two functions of the owner. release_month decides and holds the guard,
-- drop_month takes the partitions away.

-- +goose Up

create table enrollgate.dropped_months (
    month        integer     primary key check (month between 256 and 32766), -- certificates without end are in none of them
    certificates bigint      not null,
    dropped_at   timestamptz not null,
    cleared_at   timestamptz
);
create trigger refuse before delete or truncate on enrollgate.dropped_months for each statement execute function enrollgate.refuse();

-- month_waits lists the CRLs that a month waits for. A CA is found by a step
-- down the key for each, however many certificates it has.
-- +goose StatementBegin
create function enrollgate.month_waits(wanted integer) returns table (tenant text, ca text, scope text, this_update timestamptz)
    language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive concerned as (
        (select c.tenant, c.ca from enrollgate.certificates c where c.month = wanted order by c.tenant, c.ca limit 1)
        union all
        select n.tenant, n.ca from concerned p cross join lateral (
            select c.tenant, c.ca from enrollgate.certificates c
            where c.month = wanted and (c.tenant, c.ca) > (p.tenant, p.ca) order by c.tenant, c.ca limit 1) n)
    select k.tenant, k.ca, coalesce(l.scope, ''), l.this_update from concerned k
    left join lateral (select c.scope, c.this_update, c.next_update from enrollgate.crl_heads h
        join enrollgate.crls c on c.tenant = h.tenant and c.ca = h.ca and c.scope = h.scope and c.number = h.complete
        where h.tenant = k.tenant and h.ca = k.ca and h.scope ~ '^g[0-9]+(-s[0-9]+)?$') l on true
    where l.scope is null
        or (l.this_update < make_timestamptz((wanted + 1) / 12, (wanted + 1) % 12 + 1, 1, 0, 0, 0, 'UTC') and l.next_update > now() - interval '90 days')
$$;
-- +goose StatementEnd

-- release_month decides to drop a month; false where it may not go or is gone.
-- +goose StatementBegin
create function enrollgate.release_month(wanted integer, counted bigint) returns boolean language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
begin
    if wanted is null or wanted not between 256 and 32766
        or make_timestamptz((wanted + 1) / 12, (wanted + 1) % 12 + 1, 1, 0, 0, 0, 'UTC') > clock_timestamp() then
        return false;
    end if;
    insert into enrollgate.dropped_months (month, certificates, dropped_at)
        select wanted, counted, clock_timestamp() where not exists (select from enrollgate.month_waits(wanted))
        on conflict do nothing;
    return found;
end $$;
-- +goose StatementEnd

-- drop_month drops the partitions of a released month; false where nothing is
-- left to drop, an error where the month was not released. Dropping locks the
-- parents against everybody, so it gives up at once where it would have to
-- wait: who waits for such a lock makes all others wait behind it.
-- +goose StatementBegin
create function enrollgate.drop_month(wanted integer) returns boolean language plpgsql security definer
    set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    parent text;
begin
    if not exists (select from enrollgate.dropped_months m where m.month = wanted) then
        raise exception 'month % was not released', wanted using errcode = 'insufficient_privilege';
    end if;
    lock table enrollgate.months in share row exclusive mode;
    if not exists (select from enrollgate.dropped_months m where m.month = wanted and m.cleared_at is null) then
        return false;
    end if;
    lock table only enrollgate.certificates, only enrollgate.sans, only enrollgate.decisions in access exclusive mode;
    foreach parent in array array['certificates', 'sans', 'decisions'] loop
        execute format('drop table if exists enrollgate.%I', parent || '_' || wanted);
    end loop;
    delete from enrollgate.months where month = wanted;
    update enrollgate.dropped_months set cleared_at = clock_timestamp() where month = wanted;
    return true;
end $$;
-- +goose StatementEnd
revoke all on function enrollgate.month_waits(integer) from public;
revoke all on function enrollgate.release_month(integer, bigint) from public;
revoke all on function enrollgate.drop_month(integer) from public;

-- ensure_month as before, but a dropped month does not come back.
-- +goose StatementBegin
create or replace function enrollgate.ensure_month(wanted integer) returns boolean language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
declare
    parent text;
    part   text;
begin
    if wanted is null or wanted < 256 or wanted > 32767 then
        raise exception 'month % is outside 256 to 32767', wanted using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from enrollgate.dropped_months m where m.month = wanted) then
        raise exception 'month % was dropped', wanted using errcode = 'invalid_parameter_value';
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

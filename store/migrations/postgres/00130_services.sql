-- Certificates of the gateway's own that all replicas use, with their keys. The
-- highest number of each service is in use, those before it wait for messages
-- in flight; the certificates themselves are recorded like any other.

-- +goose Up

create table enrollgate.service_certificates (
    tenant     text        not null,
    ca         text        not null,
    service    text        not null,
    number     integer     not null check (number > 0),
    der        bytea       not null,
    not_after  timestamptz not null,
    sealed     bytea,      -- the key; null where it is at key_uri
    key_uri    text        not null,
    created_at timestamptz not null,
    primary key (tenant, ca, service, number),
    check ((sealed is null) = (key_uri <> ''))
);

-- +goose StatementBegin
create function enrollgate.newest_service_certificate_stays() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from enrollgate.service_certificates n where n.tenant = old.tenant and n.ca = old.ca
            and n.service = old.service and n.number > old.number) then
        raise exception 'the newest service certificate stays' using errcode = 'insufficient_privilege';
    end if;
    return old;
end $$;
-- +goose StatementEnd

create trigger refuse before update or truncate on enrollgate.service_certificates for each statement execute function enrollgate.refuse();
create trigger newest before delete on enrollgate.service_certificates for each row execute function enrollgate.newest_service_certificate_stays();

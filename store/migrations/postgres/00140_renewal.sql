-- Renewal information (RFC 9773) and profiles of orders (draft-ietf-acme-profiles).

-- +goose Up

alter table enrollgate.acme_orders add column profile text not null default '';
alter table enrollgate.acme_orders add column replaces text not null default '';

-- Which order brought the successor of a certificate: at most one does.
create table enrollgate.acme_replacements (
    tenant   text        not null,
    ca       text        not null,
    serial   bytea       not null,
    order_id text        not null,
    expires  timestamptz not null, -- with the certificate that was replaced
    primary key (serial, ca, tenant)
);
create index acme_replacements_expires on enrollgate.acme_replacements (expires);

-- When operators want certificates to be renewed.
create table enrollgate.renewal_windows (
    tenant      text        not null,
    ca          text        not null,
    serial      bytea       not null,
    opens       timestamptz not null,
    closes      timestamptz not null,
    explanation text        not null,
    expires     timestamptz not null, -- with the certificate
    primary key (serial, ca, tenant)
);
create index renewal_windows_expires on enrollgate.renewal_windows (expires);

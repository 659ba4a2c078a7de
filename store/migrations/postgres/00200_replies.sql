-- What only one reply carries, such as a key that was made for a client: sealed,
-- and kept for as long as the client may ask for it again.

-- +goose Up

create table enrollgate.kept_replies (
    tenant  text        not null,
    id      text        not null,
    sealed  bytea       not null,
    expires timestamptz not null,
    primary key (id, tenant)
);
create index kept_replies_expires on enrollgate.kept_replies (expires);

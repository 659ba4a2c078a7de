-- Which generation of a CA signs, and from when: decisions that are added, the
-- latest one whose time has come in force. Without any, generation 1 signs.

-- +goose Up

create table enrollgate.activations (
    tenant     text        not null,
    ca         text        not null,
    position   integer     not null check (position > 0),
    generation integer     not null,
    signs_from timestamptz not null,
    created_at timestamptz not null,
    primary key (tenant, ca, position),
    foreign key (tenant, ca, generation) references enrollgate.generations (tenant, ca, number)
);

create trigger refuse before update or delete or truncate on enrollgate.activations for each statement execute function enrollgate.refuse();

-- What operators look for is found by an index: names by their end (their text
-- backwards, so that an exact name is a whole match of the same index),
-- certificates by subject, requester and key identifier, audit rows by trace
-- and by the serial that their detail names. The issuance itself has a trace
-- id, so only the rare other rows are indexed by serial.
-- The tenant comes last, so that nothing else is ever looked for down these.

-- +goose Up

create index sans_by_name on enrollgate.sans ((reverse(encode(value, 'escape')) collate "C"), kind);

create index certificates_by_subject on enrollgate.certificates (subject, tenant);
create index certificates_by_requester on enrollgate.certificates (requester, tenant);
create index certificates_by_key on enrollgate.certificates (key_id, tenant);

create index audit_by_trace on enrollgate.audit (trace) where trace <> '';
create index audit_by_serial on enrollgate.audit ((substring(encode(detail, 'escape') from '"serial":"([0-9a-f]{32})"')))
    where event <> 'certificate.issued' and substring(encode(detail, 'escape') from '"serial":"([0-9a-f]{32})"') is not null;

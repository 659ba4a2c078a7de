-- Parked requests are found by the transaction id of their protocol.

-- +goose Up

create index pending_requests_by_transaction on enrollgate.pending_requests (tenant, endpoint, transaction_id, id) where transaction_id <> '';

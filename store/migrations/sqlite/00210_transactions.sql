-- Parked requests are found by the transaction id of their protocol.

-- +goose Up

CREATE INDEX pending_requests_by_transaction ON pending_requests (tenant, endpoint, transaction_id, id) WHERE transaction_id <> '';

-- A revocation is final, but for one thing that may be learned later: that the
-- key is compromised. When it took place stays.

-- +goose Up

DROP TRIGGER revocations_final;
-- +goose StatementBegin
CREATE TRIGGER revocations_final BEFORE UPDATE ON revocations
  WHEN OLD.state = 'revoked' AND NOT (NEW.state = 'revoked' AND NEW.reason = 1 AND NEW.changed_at = OLD.changed_at
    AND NEW.tenant = OLD.tenant AND NEW.ca = OLD.ca AND NEW.month = OLD.month AND NEW.serial = OLD.serial)
  BEGIN SELECT RAISE(ABORT, 'only a hold may change, and the reason to keyCompromise'); END;
-- +goose StatementEnd

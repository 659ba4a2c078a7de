-- Months that ended long ago are dropped: certificates with their names and
-- decisions, in bounded steps. The guards stand: rows go only when their month
-- is in dropped_months, and a month gets there only when it may.

-- +goose Up

CREATE TABLE dropped_months (
  month        INTEGER NOT NULL PRIMARY KEY CHECK (month BETWEEN 256 AND 32766), -- certificates without end are in none of them
  certificates INTEGER NOT NULL,
  dropped_at   INTEGER NOT NULL,
  cleared_at   INTEGER
) STRICT;

-- The month has ended, and every list of a CA that has certificates in it was
-- published since, but for those that ended 90 days ago: nobody publishes them
-- any more.
-- +goose StatementBegin
CREATE TRIGGER dropped_months_due BEFORE INSERT ON dropped_months
  WHEN unixepoch('now') < unixepoch(printf('%04d-%02d-01', (NEW.month + 1) / 12, (NEW.month + 1) % 12 + 1))
    OR EXISTS (SELECT 1 FROM crl_heads h JOIN crls l ON l.tenant = h.tenant AND l.ca = h.ca AND l.scope = h.scope AND l.number = h.complete
      WHERE h.scope GLOB 'g[0-9]*'
        AND l.this_update < unixepoch(printf('%04d-%02d-01', (NEW.month + 1) / 12, (NEW.month + 1) % 12 + 1)) * 1000000
        AND l.next_update > (unixepoch('now') - 90 * 86400) * 1000000
        AND EXISTS (SELECT 1 FROM certificates c WHERE c.tenant = h.tenant AND c.ca = h.ca AND c.month = NEW.month))
    OR EXISTS (SELECT 1 FROM ca_generations g
      WHERE NOT EXISTS (SELECT 1 FROM crl_heads h WHERE h.tenant = g.tenant AND h.ca = g.ca AND h.scope GLOB 'g[0-9]*')
        AND EXISTS (SELECT 1 FROM certificates c WHERE c.tenant = g.tenant AND c.ca = g.ca AND c.month = NEW.month))
  BEGIN SELECT RAISE(ABORT, 'the month may not be dropped yet'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER dropped_months_kept BEFORE DELETE ON dropped_months BEGIN SELECT RAISE(ABORT, 'dropped months are never forgotten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER dropped_months_final BEFORE UPDATE ON dropped_months
  WHEN OLD.cleared_at IS NOT NULL OR NEW.month <> OLD.month OR NEW.certificates <> OLD.certificates OR NEW.dropped_at <> OLD.dropped_at
    OR EXISTS (SELECT 1 FROM ca_generations g JOIN certificates c ON c.tenant = g.tenant AND c.ca = g.ca AND c.month = OLD.month)
  BEGIN SELECT RAISE(ABORT, 'a dropped month only becomes empty'); END;
-- +goose StatementEnd

DROP TRIGGER certificates_kept;
-- +goose StatementBegin
CREATE TRIGGER certificates_kept BEFORE DELETE ON certificates
  WHEN NOT EXISTS (SELECT 1 FROM dropped_months WHERE month = OLD.month)
  BEGIN SELECT RAISE(ABORT, 'certificates are never deleted'); END;
-- +goose StatementEnd
DROP TRIGGER sans_kept;
-- +goose StatementBegin
CREATE TRIGGER sans_kept BEFORE DELETE ON sans
  WHEN NOT EXISTS (SELECT 1 FROM certificates c JOIN dropped_months d ON d.month = c.month WHERE c.id = OLD.certificate)
  BEGIN SELECT RAISE(ABORT, 'names are never deleted'); END;
-- +goose StatementEnd
DROP TRIGGER decisions_kept;
-- +goose StatementBegin
CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions
  WHEN NOT EXISTS (SELECT 1 FROM certificates c JOIN dropped_months d ON d.month = c.month WHERE c.id = OLD.certificate)
  BEGIN SELECT RAISE(ABORT, 'decisions are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER certificates_timely BEFORE INSERT ON certificates
  WHEN EXISTS (SELECT 1 FROM dropped_months WHERE month = NEW.month)
  BEGIN SELECT RAISE(ABORT, 'the month was dropped'); END;
-- +goose StatementEnd

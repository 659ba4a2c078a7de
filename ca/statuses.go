package ca

import "context"

// MaxStatusPage bounds the rows of one page of statuses.
const MaxStatusPage = 10000

// Statuses reads where things stand now: what a CRL lists and what an OCSP
// responder starts from, before it follows Ledger.Feed.
//
// Who takes FeedEnd first, then every page, then the feed after that position,
// applied in order, has missed nothing: a change that the pages show already is
// only seen twice.
type Statuses interface {
	// StatusPage gives the current statuses of one CA's certificates whose
	// status ever changed (held, revoked, and released ones as Issued), by
	// rising serial after a given one; the zero serial starts. Position stays
	// zero. A page shorter than limit is the last.
	// BadRequest for a limit other than 1 to MaxStatusPage.
	StatusPage(ctx context.Context, tenant, ca string, after Serial, limit int) ([]Status, error)

	// FeedEnd gives the position of the last visible row of the status feed; 0 where it is empty.
	FeedEnd(ctx context.Context) (int64, error)
}

// CheckStatusPage says what a driver cannot answer, as BadRequest.
func CheckStatusPage(limit int) error {
	if limit < 1 || limit > MaxStatusPage {
		return Errorf(BadRequest, "a page has 1 to %d statuses", MaxStatusPage)
	}
	return nil
}

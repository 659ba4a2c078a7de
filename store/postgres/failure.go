package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/enrollgate/enrollgate/ca"
)

// failure says what to do about an error of the database.
type failure uint8

const (
	failLost        failure = iota // the connection is gone, or nobody knows
	failAgain                      // run it again: deadlock, serialization, a cache or partition that went stale
	failUnavailable                // the server cannot now
	failTaken                      // a unique key is taken
	failRefused                    // the statement is wrong for this member
)

// failureOf classifies by SQLSTATE (PostgreSQL manual, appendix A). Only an
// ERROR leaves the session usable; FATAL may come after a commit took place.
func failureOf(err error) failure {
	var ours *ca.Error
	var unread pgx.ScanArgError
	if errors.As(err, &ours) || errors.As(err, &unread) {
		return failRefused
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC" {
		return failLost
	}
	switch {
	case pg.Code == "40001", pg.Code == "40P01": // serialization_failure, deadlock_detected
		return failAgain
	case pg.Code == "0A000" && strings.Contains(pg.Message, "cached plan"), pg.Code == "26000":
		return failAgain
	case pg.Code == "23514" && pg.ConstraintName == "": // no partition of relation found for row
		return failAgain
	case pg.Code == "23505" && pg.ConstraintName == "batches_pkey": // somebody else wrote to this chain
		return failAgain
	case pg.Code == "23505":
		return failTaken
	case pg.Code == "25006", pg.Code == "55P03", pg.Code == "55006": // read-only server, lock_not_available
		return failUnavailable
	}
	for _, class := range []string{"08", "53", "57", "58", "25"} { // connection, resources, operator, system error, transaction state
		if strings.HasPrefix(pg.Code, class) {
			return failUnavailable
		}
	}
	return failRefused
}

// answerOf makes the member's answer from an error of the database.
func answerOf(err error) error {
	var known *ca.Error
	if errors.As(err, &known) {
		return err
	}
	switch failureOf(err) {
	case failTaken:
		return ca.Wrap(ca.Conflict, err, "something with the same identity is recorded already")
	case failRefused:
		return ca.InternalError(err)
	default:
		return ca.UnavailableError(err, 2*time.Second)
	}
}

// readError makes the answer of a read.
func readError(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return ca.Errorf(ca.NotFound, "there is no such %s", what)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ca.UnavailableError(err, 2*time.Second)
	}
	return answerOf(fmt.Errorf("read %s: %w", what, err))
}

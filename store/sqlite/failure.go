package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/enrollgate/enrollgate/ca"
)

// failure is a statement that failed, unlike a member that was refused.
type failure struct {
	q   query
	err error
}

func (f *failure) Error() string { return fmt.Sprintf("sqlite: statement %d: %v", f.q, f.err) }
func (f *failure) Unwrap() error { return f.err }

// code gives SQLite's primary result code, or 0.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// exhausted tells whether the file or the disk is what failed: then nobody's
// write can pass, and trying again later may help.
func exhausted(err error) bool {
	if ca.IsKind(err, ca.Unavailable) {
		return true
	}
	switch code(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_READONLY, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN,
		lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT, lib.SQLITE_PERM:
		return true
	}
	return false
}

// answer turns a failed statement into what its caller is told.
func answer(err error) error {
	if e := (*ca.Error)(nil); errors.As(err, &e) {
		return e
	}
	if exhausted(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ca.UnavailableError(err, 2*time.Second)
	}
	return ca.InternalError(err)
}

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	lib "modernc.org/sqlite/lib"
)

// writer is the one connection that writes, with its prepared statements. Only
// the queue's writer goroutine uses it.
type writer struct {
	conn  *sql.Conn
	stmts [queries]*sql.Stmt
}

func (s *Store) openWriter() error {
	if s.writer != nil {
		return nil
	}
	conn, err := s.writes.Conn(context.Background())
	if err != nil {
		return err
	}
	s.writer = &writer{conn: conn}
	return nil
}

// begin starts a batch's transaction. A connection that has one open already,
// left by some fault, is replaced.
func (s *Store) begin() error {
	for fresh := false; ; fresh = true {
		if err := s.openWriter(); err != nil {
			return err
		}
		err := s.writer.begin()
		if fresh || code(err) != lib.SQLITE_ERROR {
			return err
		}
		s.opts.Log.Error("sqlite.writer", "error", err)
		s.discardWriter()
	}
}

// rollback undoes the open transaction. SQLite ends one itself on some errors;
// then there is nothing left to do.
func (s *Store) rollback() {
	if err := s.writer.rollback(); err != nil && code(err) != lib.SQLITE_ERROR {
		s.opts.Log.Error("sqlite.writer", "error", err)
		s.discardWriter()
	}
}

// discardWriter closes a connection that cannot go on, and with it whatever
// transaction it has; the next batch opens another one.
func (s *Store) discardWriter() {
	for _, st := range s.writer.stmts {
		if st != nil {
			st.Close() // fails with its connection, which goes anyway
		}
	}
	// The pool closes a connection that calls itself bad, and keeps any other.
	if err := s.writer.conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		s.opts.Log.Error("sqlite.writer", "error", err)
	}
	s.writer = nil
}

func (w *writer) close() error {
	var errs []error
	for _, st := range w.stmts {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// stmt prepares a statement once. Statements run without a context that ends:
// a batch is bounded by the busy timeout, not by its callers.
func (w *writer) stmt(q query) (*sql.Stmt, error) {
	if w.stmts[q] == nil {
		st, err := w.conn.PrepareContext(context.Background(), statements[q])
		if err != nil {
			return nil, err
		}
		w.stmts[q] = st
	}
	return w.stmts[q], nil
}

func (w *writer) exec(q query, args ...any) (sql.Result, error) {
	st, err := w.stmt(q)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), args...)
}

// scan reads the first row; found is false where there is none.
func (w *writer) scan(q query, args []any, into ...any) (found bool, err error) {
	st, err := w.stmt(q)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(context.Background(), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (w *writer) begin() error { _, err := w.exec(beginBatch); return err }

func (w *writer) commit() error { _, err := w.exec(commitBatch); return err }

func (w *writer) rollback() error { _, err := w.exec(rollbackBatch); return err }

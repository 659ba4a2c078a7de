package sqlite

import (
	"context"
	"database/sql"
	"errors"
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

// discardWriter gives up a connection whose transaction cannot be ended; the
// next batch opens another one.
func (s *Store) discardWriter() {
	if s.writer != nil {
		if err := s.writer.close(); err != nil {
			s.opts.Log.Error("sqlite.writer", "error", err)
		}
		s.writer = nil
	}
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

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	lib "modernc.org/sqlite/lib"
)

// writer is the one connection that writes, with its prepared statements. Only
// the queue's writer goroutine uses it, so it speaks to the driver itself: what
// database/sql does for the sharing of connections costs with every statement.
type writer struct {
	conn  driver.Conn
	stmts [queries]statement
	args  []driver.NamedValue // of the statement that runs
	row   []driver.Value
}

// statement is what the driver prepares.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func (s *Store) openWriter() error {
	if s.writer != nil {
		return nil
	}
	conn, err := s.reads.Driver().Open(s.dsn)
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
	if err := s.writer.close(); err != nil {
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
func (w *writer) stmt(q query) (statement, error) {
	if w.stmts[q] == nil {
		st, err := w.conn.Prepare(statements[q])
		if err != nil {
			return nil, err
		}
		w.stmts[q] = st.(statement)
	}
	return w.stmts[q], nil
}

// values turns arguments into those that the driver takes, until the next call.
func (w *writer) values(args []any) ([]driver.NamedValue, error) {
	w.args = w.args[:0]
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return w.args, nil
}

func (w *writer) exec(q query, args ...any) (sql.Result, error) {
	st, err := w.stmt(q)
	if err != nil {
		return nil, err
	}
	values, err := w.values(args)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), values)
}

// scan reads the first row; found is false where there is none.
func (w *writer) scan(q query, args []any, into ...any) (found bool, err error) {
	st, err := w.stmt(q)
	if err != nil {
		return false, err
	}
	values, err := w.values(args)
	if err != nil {
		return false, err
	}
	rows, err := st.QueryContext(context.Background(), values)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if n := len(rows.Columns()); n != len(into) {
		return false, fmt.Errorf("%d columns for %d values", n, len(into))
	}
	w.row = append(w.row[:0], make([]driver.Value, len(into))...)
	switch err := rows.Next(w.row); {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, err
	}
	for i, v := range w.row {
		if err := assign(into[i], v); err != nil {
			return false, fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return true, nil
}

func (w *writer) begin() error { _, err := w.exec(beginBatch); return err }

func (w *writer) commit() error { _, err := w.exec(commitBatch); return err }

func (w *writer) rollback() error { _, err := w.exec(rollbackBatch); return err }

// Package sqlite keeps everything in one SQLite file: the zero-setup store of a
// single node. It fulfils ca.Ledger and what belongs to it, and the ACME door's
// state.Store.
//
// The file runs in WAL mode with synchronous=FULL: a commit returns when its
// data is on disk. One connection writes, through the queue of package commit;
// a pool of read-only ones reads. Several processes may open the same file,
// each as a replica of its own.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/commit"
	"github.com/enrollgate/enrollgate/store/trail"
)

// Options say what to open. Path and Log are needed.
type Options struct {
	Path    string           // of the database file
	Log     *slog.Logger     // for what no caller can be told
	Clock   func() time.Time // the store's clock; default time.Now
	Replica string           // names this process's audit chain; default "local"
}

// busyTimeout is how long a write waits for another process's write.
const busyTimeout = 5 * time.Second

// Store is an open database file.
type Store struct {
	opts   Options
	dsn    string  // of the writer's connection
	writer *writer // used by the queue's writer alone; nil after it broke
	reads  *sql.DB
	read   [queries]*sql.Stmt
	queue  *commit.Queue[*write]
	notes  *trail.Notes
	months sync.Map            // ca.Month that are known to exist
	end    func(*writer) error // ends a transaction; a test makes it fail

	closing chan struct{}
	once    sync.Once
}

// Open opens a database file that Migrate made. It refuses one with another
// schema than this program's.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		return nil, errors.New("sqlite: a log is needed")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Replica == "" {
		o.Replica = "local"
	}
	s := &Store{opts: o, end: (*writer).commit, closing: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	s.queue = commit.New(s.run, commit.Options{})
	s.notes = trail.NewNotes(s.writeNotes, o.Log)
	return s, nil
}

// open makes the connections. The writer's is first: it makes the log that
// those for reading need.
func (s *Store) open(ctx context.Context) (err error) {
	if err := fileExists(s.opts.Path); err != nil {
		return err
	}
	if s.dsn, err = dataSource(s.opts.Path, "rw"); err != nil {
		return err
	}
	if s.reads, err = openPool(s.opts.Path, "ro", max(4, 2*runtime.GOMAXPROCS(0))); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.reads.Close())
			if s.writer != nil {
				err = errors.Join(err, s.writer.close())
			}
		}
	}()
	if err := s.openWriter(); err != nil {
		return fmt.Errorf("sqlite: %s: %w", s.opts.Path, err)
	}
	if err := checkSchema(ctx, s.reads, s.opts.Path); err != nil {
		return err
	}
	for _, q := range readStatements {
		if s.read[q], err = s.reads.PrepareContext(ctx, statements[q]); err != nil {
			return fmt.Errorf("sqlite: %s: %w", s.opts.Path, err)
		}
	}
	return nil
}

// Close writes what is queued and closes the file.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() { err = s.close() })
	return err
}

func (s *Store) close() error {
	s.notes.Close()
	close(s.closing)
	s.queue.Close()
	var errs []error
	for _, st := range s.read {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	errs = append(errs, s.reads.Close())
	if s.writer != nil { // last: who only reads cannot write the log back into the file
		errs = append(errs, s.writer.close())
	}
	return errors.Join(errs...)
}

// Stats counts commits and the writes they carried.
func (s *Store) Stats() *commit.Stats { return s.queue.Stats() }

// DroppedNotes counts the audit rows of refusals that were not written because
// too many waited or the store did not answer.
func (s *Store) DroppedNotes() int64 { return s.notes.Dropped() }

// Now is the store's clock, in UTC with microseconds.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

func (s *Store) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Microsecond) }

// openPool opens the file; mode is rw, ro or rwc.
func openPool(path, mode string, conns int) (*sql.DB, error) {
	dsn, err := dataSource(path, mode)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// dataSource says how the driver opens the file.
func dataSource(path, mode string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	args := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")", "foreign_keys(1)", "trusted_schema(0)", "cache_size(-16000)"}}
	if mode == "ro" {
		args.Add("_pragma", "query_only(1)")
	} else {
		args.Add("_pragma", "journal_mode(wal)")
		args.Add("_pragma", "synchronous(full)")
		args.Add("_pragma", "wal_autocheckpoint(4000)") // pages; hot ones are then written to the file less often
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(full), RawQuery: args.Encode()}).String(), nil
}

// point is the context of a lookup by key: it is done before anybody could give
// up waiting, and to watch for that costs two goroutines.
func point(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// micros is a time as the tables keep it; the zero time is NULL.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

func fromNullMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return fromMicros(n.Int64)
}

var _ ca.Ledger = (*Store)(nil)

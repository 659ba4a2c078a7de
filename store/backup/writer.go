package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// chunk is the most that one member of the archive holds.
const chunk = 4 << 20

// Writer writes an archive. Finish puts it in place; until then nothing has
// the archive's name.
type Writer struct {
	Manifest Manifest // what the driver fills in; Format and Parts are the Writer's
	path     string
	file     *os.File
	buffered *bufio.Writer
	sum      hash.Hash
	tar      *tar.Writer
	progress Progress
}

// Create starts an archive that will be at path: a file of mode 0600 in a folder
// that exists. It refuses a path where something is.
func Create(path string, progress Progress) (*Writer, error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s exists already; a backup replaces nothing", path)
		}
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part") // of mode 0600
	if err != nil {
		return nil, err
	}
	w := &Writer{path: path, file: f, buffered: bufio.NewWriterSize(f, 256<<10), sum: sha256.New(), progress: progress}
	w.tar = tar.NewWriter(io.MultiWriter(w.buffered, w.sum))
	w.Manifest.Format = Format
	return w, nil
}

// Dir is the folder of the archive: what a driver needs beside it for a while goes there.
func (w *Writer) Dir() string { return filepath.Dir(w.path) }

// Part writes one part: fill writes its octets.
func (w *Writer) Part(name string, fill func(io.Writer) error) (*Part, error) {
	s := &stream{w: w, name: name, sum: sha256.New()}
	if err := fill(s); err != nil {
		return nil, err
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	p := Part{Name: name, Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))}
	w.Manifest.Parts = append(w.Manifest.Parts, p)
	return &p, nil
}

// stream cuts a part into members.
type stream struct {
	w    *Writer
	name string
	n    int
	held bytes.Buffer
	sum  hash.Hash
	size int64
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), chunk-s.held.Len())]
		b = b[len(part):]
		s.held.Write(part) // a buffer never fails
		n += len(part)
		if s.held.Len() == chunk {
			if err := s.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *stream) flush() error {
	if s.held.Len() == 0 {
		return nil
	}
	s.n++
	s.sum.Write(s.held.Bytes()) // a hash never fails
	s.size += int64(s.held.Len())
	err := s.w.member(fmt.Sprintf("%s/%06d", s.name, s.n), s.held.Bytes())
	s.held.Reset()
	s.w.progress.say(s.name, s.size)
	return err
}

func (w *Writer) member(name string, content []byte) error {
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.tar.Write(content)
	return err
}

// Finish writes the manifest, makes the archive durable and gives it its name.
// digest is the SHA-256 of the whole file, in hexadecimal digits.
func (w *Writer) Finish() (digest string, err error) {
	text, err := json.MarshalIndent(&w.Manifest, "", "  ")
	if err != nil {
		return "", err
	}
	if err := errors.Join(w.member(manifestName, text), w.tar.Flush()); err != nil {
		return "", err
	}
	end, err := tail(w.sum.Sum(nil))
	if err != nil {
		return "", err
	}
	w.sum.Write(end) // a hash never fails
	if _, err := w.buffered.Write(end); err != nil {
		return "", err
	}
	if err := errors.Join(w.buffered.Flush(), w.file.Sync(), w.file.Close()); err != nil {
		return "", err
	}
	// A link, unlike a rename, replaces nothing that came meanwhile.
	if err := os.Link(w.file.Name(), w.path); err != nil {
		return "", err
	}
	return hex.EncodeToString(w.sum.Sum(nil)), errors.Join(os.Remove(w.file.Name()), SyncDir(w.Dir()))
}

// Abandon takes away what was not finished; after Finish it does nothing.
func (w *Writer) Abandon() {
	w.file.Close()           // closed already where Finish came so far
	os.Remove(w.file.Name()) // there is nothing more to be done about a file that stays
}

const (
	manifestName = "manifest.json"
	sumName      = "manifest.sha256"
)

// tail is the end of an archive whose octets before have a digest: one member and
// the two empty blocks that end a tar file.
func tail(sum []byte) ([]byte, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	text := hex.EncodeToString(sum) + "\n"
	if err := t.WriteHeader(&tar.Header{Name: sumName, Mode: 0o600, Size: int64(len(text)), Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(t, text); err != nil {
		return nil, err
	}
	err := t.Close()
	return b.Bytes(), err
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

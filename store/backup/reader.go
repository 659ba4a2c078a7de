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
)

// maxManifest bounds the manifest: some hundred octets for each table and scope of CRLs.
const maxManifest = 64 << 20

// Archive is an open archive whose every octet was checked.
type Archive struct {
	Manifest Manifest
	SHA256   string // of the whole file, hexadecimal
	file     io.ReaderAt
	closer   io.Closer
	places   map[string][]place // by part
	progress Progress
}

// place is the content of one member.
type place struct{ at, size int64 }

// Open reads an archive once from end to end and refuses it, as BadRequest, if
// it is not what was written.
func Open(path string, progress Progress) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a, err := Read(f, info.Size(), progress)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a.closer = f
	return a, nil
}

// Close closes the file that Open opened.
func (a *Archive) Close() error {
	if a.closer == nil {
		return nil
	}
	return a.closer.Close()
}

// Read is Open for octets that are read by somebody else.
func Read(file io.ReaderAt, size int64, progress Progress) (*Archive, error) {
	a := &Archive{file: file, places: map[string][]place{}, progress: progress}
	empty, err := tail(make([]byte, sha256.Size))
	if err != nil {
		return nil, err
	}
	body := size - int64(len(empty))
	if body < 0 {
		return nil, damaged("it is too short, or no backup at all")
	}
	sum := sha256.New()
	if err := copyAll(sum, io.NewSectionReader(file, 0, body), func(n int64) { progress.say("the whole file", n) }); err != nil {
		return nil, err
	}
	want, err := tail(sum.Sum(nil))
	if err != nil {
		return nil, err
	}
	end := make([]byte, len(want))
	if _, err := file.ReadAt(end, body); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(end, want) {
		return nil, damaged("its octets do not have the digest that stands at its end, so it was cut short, changed, or is no backup at all")
	}
	sum.Write(end) // a hash never fails
	a.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if err := a.index(io.NewSectionReader(file, 0, body)); err != nil {
		return nil, err
	}
	return a, a.agree()
}

// index finds the members and reads the manifest, which is the last.
func (a *Archive) index(body *io.SectionReader) error {
	members := tar.NewReader(body)
	for {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			return damaged("it has no manifest")
		}
		if err != nil {
			return damaged("%v", err)
		}
		at, err := body.Seek(0, io.SeekCurrent) // tar reads headers whole, and nothing ahead
		if err != nil {
			return err
		}
		if h.Name == manifestName {
			if h.Size > maxManifest {
				return damaged("its manifest has %d octets", h.Size)
			}
			if err := json.NewDecoder(io.LimitReader(members, maxManifest)).Decode(&a.Manifest); err != nil {
				return damaged("its manifest: %v", err)
			}
			if _, err := members.Next(); !errors.Is(err, io.EOF) {
				return damaged("something stands behind its manifest")
			}
			return nil
		}
		n := 0
		part, number := h.Name, ""
		if len(h.Name) > 7 {
			part, number = h.Name[:len(h.Name)-7], h.Name[len(h.Name)-7:]
		}
		if _, err := fmt.Sscanf(number, "/%06d", &n); err != nil || n != len(a.places[part])+1 || h.Size < 1 || h.Size > chunk {
			return damaged("the member %q is not one of a backup", h.Name)
		}
		a.places[part] = append(a.places[part], place{at, h.Size})
	}
}

// agree holds the manifest against the members.
func (a *Archive) agree() error {
	m := &a.Manifest
	if m.Format != Format {
		return damaged("it has format %d, and this program reads format %d", m.Format, Format)
	}
	seen := map[string]bool{}
	for _, p := range m.Parts {
		var size int64
		for _, at := range a.places[p.Name] {
			size += at.size
		}
		if size != p.Size || seen[p.Name] {
			return damaged("the part %s has %d octets, and %d by the manifest", p.Name, size, p.Size)
		}
		seen[p.Name] = true
	}
	for name := range a.places {
		if !seen[name] {
			return damaged("the manifest has no part %s", name)
		}
	}
	return nil
}

// Part reads a part. The reader gives an error in place of io.EOF where the
// part's own digest is another than the manifest's.
func (a *Archive) Part(name string) (io.Reader, error) {
	for i := range a.Manifest.Parts {
		p := &a.Manifest.Parts[i]
		if p.Name != name {
			continue
		}
		var all []io.Reader
		for _, at := range a.places[name] {
			all = append(all, io.NewSectionReader(a.file, at.at, at.size))
		}
		return bufio.NewReaderSize(&checked{from: io.MultiReader(all...), part: p, sum: sha256.New(), progress: a.progress}, 256<<10), nil
	}
	return nil, damaged("it has no part %s", name)
}

// checked compares a part's digest at its end.
type checked struct {
	from     io.Reader
	part     *Part
	sum      hash.Hash
	n        int64
	progress Progress
}

// Read implements io.Reader.
func (c *checked) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.sum.Write(b[:n]) // a hash never fails
	c.n += int64(n)
	c.progress.say(c.part.Name, c.n)
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.part.SHA256 {
		return n, damaged("the part %s has another digest than the manifest says", c.part.Name)
	}
	return n, err
}

func copyAll(to io.Writer, from io.Reader, say func(int64)) error {
	buffer := make([]byte, 256<<10)
	var done int64
	for {
		n, err := from.Read(buffer)
		if _, failed := to.Write(buffer[:n]); failed != nil {
			return failed
		}
		done += int64(n)
		say(done)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

package foreign

import (
	"context"
	"fmt"
	"io"
	"os"
)

// File is a list that somebody puts into a file, DER or PEM; renamed into its
// place, so that nobody reads half of one.
type File struct{ Path string }

// Fetch implements Source.
func (s File) Fetch(_ context.Context, have string) (data []byte, version string, err error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is not a regular file", s.Path)
	}
	if version = fmt.Sprintf("%d/%d", info.Size(), info.ModTime().UnixNano()); version == have {
		return nil, version, nil
	}
	data, err = io.ReadAll(io.LimitReader(f, MaxList+1))
	if err == nil && len(data) > MaxList {
		err = fmt.Errorf("%s is longer than %d octets", s.Path, MaxList)
	}
	return data, version, err
}

var _ Source = File{}

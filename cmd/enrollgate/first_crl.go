package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/enrollgate/enrollgate/config"
)

// firstCRL are the flags of commands that make a root: its first revocation
// list goes into a file, which is carried with the root's certificate.
type firstCRL struct {
	File string `name:"crl" help:"Write the root's first CRL, in PEM, to this file, which must not exist. Default: beside a root key that is in a file, with the ending .crl." type:"path" placeholder:"FILE"`
	Days int    `name:"crl-days" help:"How long that CRL is good." default:"365"`
}

// maxListDays bounds a list's life: nobody would look after a root any more.
const maxListDays = 10 * 365

// place gives the file for the first list of the root whose key is at uri; ""
// where nothing says which. A file that exists may be a list with revocations.
func (f firstCRL) place(uri string) (string, error) {
	if f.Days < 1 || f.Days > maxListDays {
		return "", fmt.Errorf("%w: --crl-days is 1 to %d", errUsage, maxListDays)
	}
	file := f.File
	if path, ok := strings.CutPrefix(uri, "file:"); ok && file == "" {
		file = strings.TrimSuffix(path, filepath.Ext(path)) + ".crl"
	}
	if file == "" {
		return "", nil
	}
	if _, err := os.Lstat(file); err == nil {
		return "", fmt.Errorf("%w: %s exists, and may be a list of this root; name another file with --crl", errUsage, file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return file, nil
}

// writeList writes a list into a new file, in PEM.
func writeList(file string, der []byte) error {
	if file == "" {
		return nil
	}
	return writeNew(file, []byte(pemBlock("X509 CRL", der)), 0o644)
}

// listsAt is the base URL of the CRLs that a daemon with this configuration
// publishes; "" where it publishes none, or where nobody can know before it listens.
func listsAt(cfg *config.Config) (string, error) {
	switch {
	case cfg.Listen.HTTP == "":
		return "", nil
	case cfg.BaseURL.HTTP != "":
		return cfg.BaseURL.HTTP, nil
	}
	if _, port, err := net.SplitHostPort(cfg.Listen.HTTP); err != nil || port == "0" {
		return "", err
	}
	return externalURL("http", cfg.Listen.HTTP)
}

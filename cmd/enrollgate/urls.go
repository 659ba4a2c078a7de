package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/enrollgate/enrollgate/config"
)

type urlsCmd struct {
	source
	JSON bool `name:"json" help:"Print JSON."`
}

// enrollmentURL is one entry of `enrollgate urls --json`; scripts rely on it.
type enrollmentURL struct {
	Protocol string     `json:"protocol"`
	Tenant   string     `json:"tenant"`
	CA       string     `json:"ca"`
	Profile  string     `json:"profile"`
	Auth     [][]string `json:"auth"`
	URL      string     `json:"url"`
}

// Run lists the endpoints with their URLs.
func (u *urlsCmd) Run(c console) error {
	cfg, err := u.load()
	if err != nil {
		return err
	}
	if err := u.fillBase(cfg); err != nil {
		return err
	}
	list := []enrollmentURL{}
	for _, e := range cfg.Endpoints {
		entry := enrollmentURL{string(e.Door), e.Tenant, e.CA, e.Profile, nil, cfg.URL(&e)}
		for _, set := range e.Policies {
			var methods []string
			for _, m := range set {
				methods = append(methods, string(m))
			}
			entry.Auth = append(entry.Auth, methods)
		}
		list = append(list, entry)
	}
	if u.JSON {
		out := json.NewEncoder(c.out)
		out.SetIndent("", "  ")
		return out.Encode(list)
	}
	for _, e := range list {
		fmt.Fprintf(c.out, "%-6s %s\n", e.Protocol, e.URL)
	}
	return nil
}

// fillBase takes the base URLs of a dev daemon that are not written from the
// addresses it bound, or, where none has run, from the ones it would bind.
func (u *source) fillBase(cfg *config.Config) error {
	if !cfg.Dev { // everywhere else they are written
		return nil
	}
	bound := map[string]string{"https": cfg.Listen.HTTPS, "http": cfg.Listen.HTTP, "est": cfg.Listen.EST}
	data, err := os.ReadFile(filepath.Join(u.Data, "run.json"))
	if err == nil {
		err = json.Unmarshal(data, &bound)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read run.json; start the daemon once more to write it: %w", err)
	}
	for name, base := range map[string]*string{"https": &cfg.BaseURL.HTTPS, "http": &cfg.BaseURL.HTTP, "est": &cfg.BaseURL.EST} {
		if bound[name] == "" || *base != "" {
			continue
		}
		if *base, err = externalURL(schemeOf(name), bound[name]); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"context"
	"fmt"
)

type migrateCmd struct {
	source
}

// Run makes or updates the tables of the configured store.
func (m *migrateCmd) Run(c console) error {
	cfg, err := m.load()
	if err != nil {
		return err
	}
	if m.Dev {
		if err := prepareDev(m.Data); err != nil {
			return err
		}
	}
	warnings, err := migrate(context.Background(), cfg.Store)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(c.err, "enrollgate:", w)
	}
	_, err = fmt.Fprintln(c.out, "the store is up to date")
	return err
}

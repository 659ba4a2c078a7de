package main

import (
	"fmt"
	"path/filepath"

	"github.com/enrollgate/enrollgate/config"
)

// source is where a command takes its configuration from: a file, or the dev
// defaults with a file and flags over them.
type source struct {
	Config string `help:"Configuration file; with --dev it is merged over the defaults." type:"path" placeholder:"FILE"`
	Dev    bool   `help:"Embedded defaults for trying things out. Not for production."`
	Data   string `help:"Folder of --dev." default:"enrollgate-data" type:"path" placeholder:"DIR"`
	HTTPS  string `name:"https" help:"Address of the https listener." placeholder:"HOST:PORT"`
	HTTP   string `name:"http" help:"Address of the http listener." placeholder:"HOST:PORT"`
	EST    string `name:"est" help:"Address of the listener that asks for client certificates." placeholder:"HOST:PORT"`
	Admin  string `help:"Address of the admin listener." placeholder:"HOST:PORT"`
	Store  string `help:"Store: sqlite:///PATH or postgres://..." placeholder:"URL"`
	CAKey  string `name:"ca-key" help:"Key of the CA \"issuing\" of --dev." placeholder:"URI"`
}

// load gives the validated configuration.
func (s *source) load() (*config.Config, error) {
	if !s.Dev && s.Config == "" {
		return nil, fmt.Errorf("%w: give --config FILE, or --dev to try things out", errUsage)
	}
	options := config.Options{Dev: s.Dev, Settings: s.settings()}
	if !s.Dev {
		return config.Load(s.Config, options)
	}
	dir, err := filepath.Abs(s.Data)
	if err != nil {
		return nil, err
	}
	s.Data = dir
	var overlay []byte
	if s.Config != "" {
		if overlay, err = config.ReadFile(s.Config); err != nil {
			return nil, err
		}
	}
	return config.ParseOver(devDefaults(dir), s.Config, overlay, options)
}

// settings are the flags that say something else than the file.
func (s *source) settings() []config.Setting {
	var out []config.Setting
	for _, f := range []config.Setting{
		{Path: "listen.https", Value: s.HTTPS, From: "--https"},
		{Path: "listen.http", Value: s.HTTP, From: "--http"},
		{Path: "listen.est", Value: s.EST, From: "--est"},
		{Path: "listen.admin", Value: s.Admin, From: "--admin"},
		{Path: "store.url", Value: s.Store, From: "--store"},
		{Path: "cas.issuing.key", Value: s.CAKey, From: "--ca-key"},
	} {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

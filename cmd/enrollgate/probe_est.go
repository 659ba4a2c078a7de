package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/probe"
)

// addEST makes a target of an EST endpoint, which is renewed at where it lets certificates in.
func (cmd *probeCmd) addEST(d *probedDoors, id, url string, renews bool) error {
	if d.est.User == "" {
		if err := cmd.estUser(&d.est); err != nil {
			return fmt.Errorf("endpoint %s: %w", id, err)
		}
	}
	d.est.URL = url
	door, err := probe.NewEST(d.est)
	return d.add(probe.Target{Endpoint: id, Protocol: string(caller.EST), URL: url, Door: door, Renew: cmd.Renew && renews}, err)
}

// estUser reads the credential of the command line, or that of --dev.
func (cmd *probeCmd) estUser(o *probe.ESTOptions) error {
	switch {
	case cmd.ESTUser != "":
		text, err := readProbeFile(cmd.ESTPwFile)
		if err != nil {
			return err
		}
		if o.User, o.Password = cmd.ESTUser, strings.TrimRight(string(text), "\r\n"); o.Password == "" {
			return fmt.Errorf("%s has no password, as `enrollgate credential create` prints it", cmd.ESTPwFile)
		}
		return nil
	case !cmd.Dev:
		return fmt.Errorf("%w: EST wants a credential: give --est-user and --est-password-file, or name the other endpoints by --endpoint", errUsage)
	}
	name := filepath.Join(cmd.Data, "dev-credentials.json")
	text, err := readProbeFile(name)
	if err != nil {
		return err
	}
	var all devCredentials
	if err := json.Unmarshal(text, &all); err != nil || all.EST == nil {
		return fmt.Errorf("%s has no credential for EST; start the daemon once more to make it", name)
	}
	o.User, o.Password = all.EST.Username, all.EST.Password
	return nil
}

// alone tells whether one method lets in by itself.
func alone(e *ca.Endpoint, m caller.Method) bool {
	return slices.ContainsFunc(e.Policies, func(set []caller.Method) bool { return slices.Equal(set, []caller.Method{m}) })
}

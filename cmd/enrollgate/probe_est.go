package main

import (
	"encoding/json"
	"errors"
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
		password, err := readSecret(cmd.ESTPwFile)
		o.User, o.Password = cmd.ESTUser, password
		return err
	case !cmd.Dev:
		return fmt.Errorf("%w: EST wants a credential: give --est-user and --est-password-file, or name the other endpoints by --endpoint", errUsage)
	}
	all, err := cmd.devCredentials()
	if err == nil && all.EST == nil {
		err = errors.New("there is no credential for EST; start the daemon once more to make it")
	}
	if err != nil {
		return err
	}
	o.User, o.Password = all.EST.Username, all.EST.Password
	return nil
}

// devCredentials reads what serve --dev has made.
func (cmd *probeCmd) devCredentials() (all devCredentials, err error) {
	name := filepath.Join(cmd.Data, "dev-credentials.json")
	text, err := readProbeFile(name)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return all, fmt.Errorf("credentials of --dev: %w", err)
	}
	return all, nil
}

// readSecret reads the one line of a file.
func readSecret(name string) (string, error) {
	text, err := readProbeFile(name)
	secret := strings.TrimRight(string(text), "\r\n")
	if err == nil && secret == "" {
		err = fmt.Errorf("%s has no secret, as `enrollgate credential create` prints it", name)
	}
	return secret, err
}

// alone tells whether one method lets in by itself.
func alone(e *ca.Endpoint, m caller.Method) bool {
	return slices.ContainsFunc(e.Policies, func(set []caller.Method) bool { return slices.Equal(set, []caller.Method{m}) })
}

package main

import (
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/probe"
)

// addSCEP makes a target of a SCEP endpoint, which is renewed at where it lets certificates in.
func (cmd *probeCmd) addSCEP(d *probedDoors, id, url string, renews bool) error {
	if d.scep.Secret == "" {
		secret, err := cmd.scepSecret()
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", id, err)
		}
		d.scep.Secret = secret
	}
	d.scep.URL = url
	door, err := probe.NewSCEP(d.scep)
	return d.add(probe.Target{Endpoint: id, Protocol: string(caller.SCEP), URL: url, Door: door, Renew: cmd.Renew && renews}, err)
}

// scepSecret reads the secret of the command line, or that of --dev.
func (cmd *probeCmd) scepSecret() (string, error) {
	switch {
	case cmd.SCEPSecret != "":
		return readSecret(cmd.SCEPSecret)
	case !cmd.Dev:
		return "", fmt.Errorf("%w: SCEP wants a challengePassword: give --scep-secret-file, or name the other endpoints by --endpoint", errUsage)
	}
	all, err := cmd.devCredentials()
	if err == nil && all.SCEP == nil {
		err = errors.New("there is no secret for SCEP; start the daemon once more to make it")
	}
	if err != nil {
		return "", err
	}
	return all.SCEP.Challenge, nil
}

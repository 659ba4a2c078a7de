package main

import (
	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

// validation says how validators and the check of CAA records look around;
// resolvers, where there are any, take the place of the configuration's.
func validation(c config.ACME, resolvers []string) va.Options {
	o := va.Options{Resolvers: c.Resolvers, Allow: c.AllowTargets, LocalhostToLoopback: c.LocalhostToLoopback,
		Port: c.HTTP01.Port, Timeout: c.HTTP01.Timeout, TLSPort: c.TLSALPN01Port, Authoritative: c.Authoritative}
	if len(resolvers) > 0 {
		o.Resolvers = resolvers
	}
	return o
}

// newValidators make the challenge types that ACME endpoints offer.
func newValidators(c config.ACME, resolvers []string) (map[claim.Method]acme.Validator, error) {
	options := validation(c, resolvers)
	http01, err := va.NewHTTP01(options)
	if err != nil {
		return nil, err
	}
	dns01, err := va.NewDNS01(options)
	if err != nil {
		return nil, err
	}
	tlsalpn01, err := va.NewTLSALPN01(options)
	if err != nil {
		return nil, err
	}
	return map[claim.Method]acme.Validator{claim.HTTP01: http01, claim.DNS01: dns01, claim.TLSALPN01: tlsalpn01}, nil
}

// ownOf makes what ACME endpoints have of their own.
func ownOf(cfg *config.Config, endpoints []ca.Endpoint) (map[string]acme.Own, error) {
	all := map[string]acme.Own{}
	for _, e := range endpoints {
		var own acme.Own
		var err error
		written := cfg.ACMEOf[e.ID]
		if len(written.Resolvers) > 0 {
			if own.Validators, err = newValidators(cfg.ACME, written.Resolvers); err != nil {
				return nil, err
			}
		}
		if len(written.CAA) > 0 {
			own.CAAIssuers = written.CAA
			if own.CAA, err = va.NewCAA(validation(cfg.ACME, written.Resolvers), written.CAA); err != nil {
				return nil, err
			}
		}
		for _, p := range written.Profiles {
			own.Profiles = append(own.Profiles, acme.Profile{Name: p.Name, Description: cfg.Profiles[p.Profile].Title(), Endpoint: config.VariantID(e.ID, p.Name)})
		}
		all[e.ID] = own
	}
	return all, nil
}

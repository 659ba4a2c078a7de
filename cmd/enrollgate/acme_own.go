package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/acme/attest"
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
		own, err := ownOfEndpoint(cfg, &e)
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", e.ID, err)
		}
		all[e.ID] = own
	}
	return all, nil
}

func ownOfEndpoint(cfg *config.Config, e *ca.Endpoint) (own acme.Own, err error) {
	written := cfg.ACMEOf[e.ID]
	own.Subdomains = written.Subdomains
	if revision := written.Drafts[claim.DNSPersist01]; revision != "" {
		own.Persist.Issuers = written.PersistIssuers
		if revision != "draft-00" {
			own.Persist.Prefix = strings.TrimSuffix(cfg.URL(e), "/directory") + "/account-hash/"
		}
	}
	points := written.Vantages
	if len(points) == 0 {
		points = [][]string{written.Resolvers}
	}
	var validators []map[claim.Method]acme.Validator
	var checks []*va.CAA
	for _, resolvers := range points {
		one, err := endpointValidators(cfg.ACME, resolvers, written.Drafts, own.Persist)
		if err != nil {
			return own, err
		}
		validators = append(validators, one)
		if len(written.CAA) > 0 {
			check, err := va.NewCAA(validation(cfg.ACME, resolvers), written.CAA)
			if err != nil {
				return own, err
			}
			checks = append(checks, check)
		}
	}
	if len(checks) > 0 {
		own.CAAIssuers, own.CAA = written.CAA, checks[0]
	}
	if len(written.Vantages) > 0 {
		if len(checks) > 0 {
			own.CAA = va.QuorumCAA{Vantages: checks, Need: written.Quorum}
		}
		own.Validators = quorumOf(validators, written.Quorum)
	} else if len(written.Resolvers)+len(written.Drafts)+len(written.Attestation) > 0 {
		own.Validators = validators[0]
	}
	if len(written.Attestation) > 0 {
		roots, err := attestationRoots(written.Attestation)
		if err != nil {
			return own, err
		}
		if own.Validators[claim.DeviceAttest01], err = attest.New(roots, time.Now); err != nil {
			return own, err
		}
	}
	for _, p := range written.Profiles {
		own.Profiles = append(own.Profiles, acme.Profile{Name: p.Name, Description: cfg.Profiles[p.Profile].Title(), Endpoint: config.VariantID(e.ID, p.Name)})
	}
	return own, nil
}

// endpointValidators are those of all endpoints and those of the drafts.
func endpointValidators(c config.ACME, resolvers []string, drafts map[claim.Method]string, persist acme.Persist) (map[claim.Method]acme.Validator, error) {
	out, err := newValidators(c, resolvers)
	if err != nil {
		return nil, err
	}
	if drafts[claim.DNSAccount01] != "" {
		if out[claim.DNSAccount01], err = va.NewDNSAccount01(validation(c, resolvers)); err != nil {
			return nil, err
		}
	}
	if drafts[claim.DNSPersist01] != "" {
		if out[claim.DNSPersist01], err = va.NewDNSPersist01(validation(c, resolvers), persist.Issuers, persist.Prefix, time.Now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// quorumOf has each challenge validated at several vantage points.
func quorumOf(points []map[claim.Method]acme.Validator, need int) map[claim.Method]acme.Validator {
	out := map[claim.Method]acme.Validator{}
	for method := range points[0] {
		q := va.Quorum{Need: need}
		for _, p := range points {
			q.Vantages = append(q.Vantages, p[method])
		}
		out[method] = q
	}
	return out
}

// Bounds of the roots of one format: their number, and the octets of their file.
const (
	maxAttestationRoots = 1000
	maxAttestationFile  = 1 << 20
)

// attestationRoots reads the files of roots, by format.
func attestationRoots(files map[string]string) (map[string][]*x509.Certificate, error) {
	out := map[string][]*x509.Certificate{}
	for format, file := range files {
		data, err := config.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("roots of %s attestations: %w", format, err)
		}
		if len(data) > maxAttestationFile {
			return nil, fmt.Errorf("roots of %s attestations: %s is longer than %d octets", format, file, maxAttestationFile)
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			root, err := x509.ParseCertificate(block.Bytes)
			if block.Type != "CERTIFICATE" || err != nil || len(out[format]) == maxAttestationRoots {
				return nil, fmt.Errorf("roots of %s attestations: %s holds something else than 1 to %d certificates", format, file, maxAttestationRoots)
			}
			out[format] = append(out[format], root)
		}
		if len(out[format]) == 0 {
			return nil, fmt.Errorf("roots of %s attestations: %s holds no certificate in PEM form", format, file)
		}
	}
	return out, nil
}

package config

import (
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// EST configures the EST door (RFC 7030).
type EST struct {
	Default string // id of the endpoint that the path without tenant, CA and profile is for; empty: none
}

// ESTEndpoint is what an EST endpoint has of its own.
type ESTEndpoint struct {
	DeviceRoots    []string // absolute paths of PEM files with roots of device certificates
	ChannelBinding string   // "off", "accepted" or "required"
	Unfolded       bool     // answers are base64 in one line
	ServerKeygen   bool     // keys are made for clients (RFC 7030 section 4.4)
}

type writtenEST struct {
	Default string `yaml:"default"`
}

const (
	maxDeviceRoots = 64
	estPath        = "/.well-known/est/"
)

// ChannelBindings are the values of endpoints[].channel_binding.
func ChannelBindings() []string { return []string{"off", "accepted", "required"} }

// estEndpoint checks what only EST endpoints have.
func (c *checker) estEndpoint(item string, w *writtenEndpoint) (out ESTEndpoint) {
	if w.Protocol != string(caller.EST) {
		for _, key := range []string{"device_roots", "channel_binding", "unfolded", "server_keygen"} {
			if _, written := c.places[item+"."+key]; written {
				c.problem(item+"."+key, "only an endpoint of protocol est has this")
			}
		}
		return out
	}
	out.ChannelBinding, out.Unfolded = c.oneOf(item+".channel_binding", w.ChannelBinding, "off", ChannelBindings()), w.Unfolded
	out.ServerKeygen = w.ServerKeygen
	for i, path := range w.DeviceRoots {
		at := c.items[item+".device_roots"][i]
		if c.absolute(at, path) != "" && slices.Contains(out.DeviceRoots, path) {
			c.problem(at, "the file stands here twice")
		}
		out.DeviceRoots = append(out.DeviceRoots, path)
	}
	if len(w.DeviceRoots) > maxDeviceRoots {
		c.problem(item+".device_roots", "at most %d files are read, and here are %d", maxDeviceRoots, len(w.DeviceRoots))
	}
	devices := false
	for i, set := range w.Authentication {
		device := slices.Contains(set, string(caller.DeviceCertificate))
		devices = devices || device
		if device && slices.Contains(set, string(caller.Certificate)) {
			c.problem(c.items[item+".authentication"][i], "a client has one certificate in a connection, so that %s and %s never hold together; make them two alternatives", caller.Certificate, caller.DeviceCertificate)
		}
	}
	switch {
	case devices && len(w.DeviceRoots) == 0 && !c.bad[item+".device_roots"]:
		c.problem(item+".device_roots", "the key is missing: the method %s is verified to these roots", caller.DeviceCertificate)
	case !devices && len(w.DeviceRoots) > 0:
		c.problem(item+".device_roots", "nothing uses these roots: authentication does not name the method %s", caller.DeviceCertificate)
	}
	return out
}

// est checks the door's own settings, and what its endpoints have to do with
// each other and with the listener.
func (c *checker) est(w *writtenFile, config *Config) (out EST) {
	labels := map[string]string{}
	for i := range config.Endpoints {
		e := &config.Endpoints[i]
		if e.Door != caller.EST {
			continue
		}
		item := c.itemOf(w.Endpoints, e.ID)
		label := e.Tenant + "_" + e.CA + "_" + e.Profile
		if other, taken := labels[label]; taken {
			c.problem(item, "its label %s is that of endpoint %q, too; clients that can say no more than a label could not tell them apart: change an id", quote(label), other)
		}
		labels[label] = e.ID
		if p := config.Profiles[e.Profile]; config.ESTOf[e.ID].ServerKeygen && p != nil && len(p.ServerKeys()) == 0 {
			c.problem(item+".server_keygen", "profile %s has no server_keys: it does not say which keys are made", quote(e.Profile))
		}
		if config.ESTOf[e.ID].ChannelBinding == "required" && len(config.Listen.TrustedProxies) > 0 {
			c.problem(item+".channel_binding", "behind a proxy that ends TLS (listen.trusted_proxies) requests are never bound to the client's connection")
		}
	}
	if !c.given("est.default", w.EST.Default) {
		return out
	}
	var known []string
	for i := range w.Endpoints {
		if e := &w.Endpoints[i]; e.Protocol == string(caller.EST) {
			known = append(known, e.ID)
		}
	}
	served := slices.ContainsFunc(config.Endpoints, func(e ca.Endpoint) bool { return e.Door == caller.EST && e.ID == w.EST.Default })
	switch {
	case !slices.Contains(known, w.EST.Default):
		c.choose("est.default", known, "%s does not name an endpoint of protocol est%s", quote(w.EST.Default), suggest(w.EST.Default, known))
	case served: // one that is switched off is no default
		out.Default = w.EST.Default
	}
	return out
}

// itemOf is the path of the endpoint with an id.
func (c *checker) itemOf(all []writtenEndpoint, id string) string {
	for i := range all {
		if all[i].ID == id && enabled(all[i].Enabled) {
			return c.items["endpoints"][i]
		}
	}
	return "endpoints"
}

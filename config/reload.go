package config

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// NeedsRestart lists the keys in which next differs from c and that a running
// daemon cannot change: listeners, the store and keys are opened once. Profiles,
// endpoints, tenants, acme, log.level and drain_timeout are not among them, nor
// cas[].key, which names the key of the next generation and is for `ca` commands.
func (c *Config) NeedsRestart(next *Config) []string {
	var keys []string
	for _, part := range []struct {
		key       string
		was, will any
	}{
		{"listen", c.Listen, next.Listen},
		{"base_url", c.BaseURL, next.BaseURL},
		{"tls", c.TLS, next.TLS},
		{"store", c.Store, next.Store},
		{"seal", c.Seal, next.Seal},
		{"pkcs11", c.PKCS11, next.PKCS11},
		{"cas", keyless(c.CAs), keyless(next.CAs)},
		{"foreign_cas", c.Foreign, next.Foreign},
		{"retention", c.Retention, next.Retention},
		{"admin", c.Admin, next.Admin},
		{"log.format", c.Log.Format, next.Log.Format},
	} {
		if !same(reflect.ValueOf(part.was), reflect.ValueOf(part.will)) {
			keys = append(keys, part.key)
		}
	}
	return keys
}

func keyless(all []CA) []CA {
	all = slices.Clone(all)
	for i := range all {
		all[i].Key = ""
	}
	return all
}

// same compares settings; secrets by where they are found.
func same(a, b reflect.Value) bool {
	if one, ok := a.Interface().(keys.Secret); ok {
		return one.SameReference(b.Interface().(keys.Secret))
	}
	if one, ok := a.Interface().(netip.Prefix); ok {
		return one == b.Interface()
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(a.Interface(), b.Interface())
	}
}

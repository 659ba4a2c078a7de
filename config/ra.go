package config

import "github.com/enrollgate/enrollgate/ca/keys"

// RA configures the registration authority of one CA: the certificate that SCEP
// clients encrypt to (RFC 8894 section 2.1.2), one for all replicas.
type RA struct {
	Enabled     bool
	Key         string // key URI of an RSA key; empty: fresh keys, sealed in the store
	KeyPassword keys.Secret
}

type writtenRA struct {
	Enabled     *bool  `yaml:"enabled"`
	Key         string `yaml:"key"`
	KeyPassword string `yaml:"key_password"`
}

func (c *checker) ra(path string, w writtenRA) RA {
	out := RA{Enabled: w.Enabled != nil && *w.Enabled, Key: w.Key, KeyPassword: c.secret(path+".key_password", w.KeyPassword)}
	if c.given(path+".key", w.Key) {
		c.keyURI(path+".key", w.Key)
	}
	_, key := c.places[path+".key"]
	if _, password := c.places[path+".key_password"]; password && !key {
		c.problem(path+".key_password", "it belongs to key, which is missing")
	}
	if _, said := c.places[path+".enabled"]; key && !said {
		c.problem(path+".key", "nothing uses it: add enabled: true")
	}
	return out
}

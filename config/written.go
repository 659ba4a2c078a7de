package config

import "github.com/enrollgate/enrollgate/ca/profile"

// The written types: one struct a block of the file, one field a key. What each
// key means, its default and the accident it prevents stands in example.yaml; a
// test holds the two together. Fields are pointers where a written zero differs
// from nothing written.

type writtenFile struct {
	Listen       writtenListen      `yaml:"listen"`
	BaseURL      writtenBaseURL     `yaml:"base_url"`
	TLS          writtenTLS         `yaml:"tls"`
	Store        writtenStore       `yaml:"store"`
	Seal         writtenSeal        `yaml:"seal"`
	PKCS11       writtenPKCS11      `yaml:"pkcs11"`
	Tenants      []writtenTenant    `yaml:"tenants"`
	CAs          []writtenCA        `yaml:"cas"`
	ForeignCAs   []writtenForeignCA `yaml:"foreign_cas"`
	Profiles     []writtenProfile   `yaml:"profiles"`
	Endpoints    []writtenEndpoint  `yaml:"endpoints"`
	ACME         writtenACME        `yaml:"acme"`
	EST          writtenEST         `yaml:"est"`
	SCEP         writtenSCEP        `yaml:"scep"`
	Approvals    writtenApprovals   `yaml:"approvals"`
	Retention    writtenRetention   `yaml:"retention"`
	Log          writtenLog         `yaml:"log"`
	Admin        writtenAdmin       `yaml:"admin"`
	DrainTimeout string             `yaml:"drain_timeout"`
}

type writtenListen struct {
	HTTPS string `yaml:"https"`
	HTTP  string `yaml:"http"`
	EST   string `yaml:"est"`
	Admin string `yaml:"admin"`

	TrustedProxies  []string `yaml:"trusted_proxies"`
	ForwardedHeader string   `yaml:"forwarded_header"`
}

type writtenBaseURL struct {
	HTTPS string `yaml:"https"`
	HTTP  string `yaml:"http"`
	EST   string `yaml:"est"`
}

type writtenTLS struct {
	Certificate string           `yaml:"certificate"`
	Key         string           `yaml:"key"`
	KeyPassword string           `yaml:"key_password"`
	Issue       *writtenTLSIssue `yaml:"issue"`
	Store       string           `yaml:"store"`
}

type writtenTLSIssue struct {
	Tenant string   `yaml:"tenant"`
	CA     string   `yaml:"ca"`
	Names  []string `yaml:"names"`
}

type writtenStore struct {
	URL                    string `yaml:"url"`
	Password               string `yaml:"password"`
	MigrateURL             string `yaml:"migrate_url"`
	MigratePassword        string `yaml:"migrate_password"`
	Writers                *int   `yaml:"writers"`
	UnsafeDurabilityReason string `yaml:"unsafe_durability_reason"`
}

type writtenSeal struct {
	Key string `yaml:"key"`
}

type writtenPKCS11 struct {
	Modules  []string `yaml:"modules"`
	Sessions *int     `yaml:"sessions"`
}

type writtenTenant struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Enabled *bool  `yaml:"enabled"`
}

type writtenCA struct {
	ID          string      `yaml:"id"`
	Tenant      string      `yaml:"tenant"`
	Key         string      `yaml:"key"`
	KeyPassword string      `yaml:"key_password"`
	Certificate string      `yaml:"certificate"`
	CRL         writtenCRL  `yaml:"crl"`
	OCSP        writtenOCSP `yaml:"ocsp"`
	RA          writtenRA   `yaml:"ra"`
	Enabled     *bool       `yaml:"enabled"`
}

type writtenCRL struct {
	Interval      string `yaml:"interval"`
	Lifetime      string `yaml:"lifetime"`
	Overlap       string `yaml:"overlap"`
	OnRevocation  string `yaml:"on_revocation"`
	DeltaInterval string `yaml:"delta_interval"`
	DeltaLifetime string `yaml:"delta_lifetime"`
	Shards        *int   `yaml:"shards"`
	KeepExpired   bool   `yaml:"keep_expired"`
}

type writtenProfile struct {
	profile.Written `yaml:",inline"`
	Enabled         *bool `yaml:"enabled"`
}

type writtenEndpoint struct {
	ID             string     `yaml:"id"`
	Protocol       string     `yaml:"protocol"`
	Tenant         string     `yaml:"tenant"`
	CA             string     `yaml:"ca"`
	Profile        string     `yaml:"profile"`
	Authentication [][]string `yaml:"authentication"`
	TermsOfService string     `yaml:"terms_of_service"`
	Enabled        *bool      `yaml:"enabled"`

	Profiles  map[string]string `yaml:"profiles"`
	Resolvers []string          `yaml:"resolvers"`
	CAA       []string          `yaml:"caa"`

	Drafts            []string           `yaml:"drafts"`
	DNSPersistIssuers []string           `yaml:"dns_persist_issuers"`
	Attestation       writtenAttestation `yaml:"attestation"`
	Subdomains        bool               `yaml:"subdomains"`
	Vantages          [][]string         `yaml:"vantages"`
	Quorum            *int               `yaml:"quorum"`

	DeviceRoots    []string `yaml:"device_roots"`
	ChannelBinding string   `yaml:"channel_binding"`
	Unfolded       bool     `yaml:"unfolded"`
	ServerKeygen   bool     `yaml:"server_keygen"`

	StaticSecret   string   `yaml:"static_secret"`
	Addresses      []string `yaml:"addresses"`
	CACertificates string   `yaml:"ca_certificates"`
	Legacy         []string `yaml:"legacy"`
	Quirks         string   `yaml:"quirks"`
}

type writtenAttestation struct {
	Apple  string `yaml:"apple"`
	TPM    string `yaml:"tpm"`
	Packed string `yaml:"packed"`
	Step   string `yaml:"step"`
}

type writtenACME struct {
	HTTP01                writtenHTTP01    `yaml:"http01"`
	TLSALPN01             writtenTLSALPN01 `yaml:"tlsalpn01"`
	Resolvers             []string         `yaml:"resolvers"`
	Authoritative         bool             `yaml:"authoritative"`
	AllowTargets          []string         `yaml:"allow_targets"`
	LocalhostToLoopback   bool             `yaml:"localhost_to_loopback"`
	OrderLifetime         string           `yaml:"order_lifetime"`
	AuthorizationLifetime string           `yaml:"authorization_lifetime"`
	TermsOfService        string           `yaml:"terms_of_service"`
	MaxContacts           *int             `yaml:"max_contacts"`
	RateLimits            writtenLimits    `yaml:"rate_limits"`
}

type writtenLimits struct {
	AccountsPerNetwork  string `yaml:"accounts_per_network"`
	OrdersPerAccount    string `yaml:"orders_per_account"`
	OrdersPerIdentifier string `yaml:"orders_per_identifier"`
	OrdersPerNetwork    string `yaml:"orders_per_network"`
}

type writtenHTTP01 struct {
	Port      *int     `yaml:"port"`
	Retries   *int     `yaml:"retries"`
	Intervals []string `yaml:"intervals"`
	Timeout   string   `yaml:"timeout"`
}

type writtenApprovals struct {
	Lifetime string `yaml:"lifetime"`
}

type writtenTLSALPN01 struct {
	Port *int `yaml:"port"`
}

type writtenRetention struct {
	Certificates string `yaml:"certificates"`
}

type writtenAdmin struct {
	Socket string `yaml:"socket"`
}

type writtenLog struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

package ca

import (
	"context"
	"time"
)

// ServiceCertificate is a certificate of the gateway's own that all replicas
// use, with its key: any of them may show it, and another must open what was
// encrypted to it.
type ServiceCertificate struct {
	Tenant, CA string
	Service    string // "ra"
	Number     int    // 1, 2, ...; the highest is in use, those before it are kept for messages in flight
	DER        []byte // without its issuers: they are facts of the CA's generations
	NotAfter   time.Time
	Sealed     []byte // PKCS #8, sealed by ca/seal; nil where the key is held elsewhere
	KeyURI     string // where it is held then, without any secret
	CreatedAt  time.Time
}

// ServiceCertificates remembers them. One is only ever added together with the
// record of its issuance, so that none is in use that the ledger does not know.
type ServiceCertificates interface {
	// KeepServiceCertificate makes the effect that records the certificate of its
	// commit with this key. DER, NotAfter and CreatedAt are the commit's. It is
	// lost where the number is not higher than every one of the service.
	KeepServiceCertificate(c *ServiceCertificate) Effect
	// ServiceCertificates lists those of a service of a CA, by number.
	ServiceCertificates(ctx context.Context, tenant, ca, service string) ([]ServiceCertificate, error)
	// ForgetServiceCertificate erases one that is not in use any more, with its
	// key, together with the audit row. Conflict where the lease is lost, and
	// where it has the highest number of its service or is not there.
	ForgetServiceCertificate(ctx context.Context, l *Lease, c *ServiceCertificate, a Audit) error
}

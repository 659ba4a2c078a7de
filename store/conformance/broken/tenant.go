package broken

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// tenantless drops the tenant in one method: what the other tenant asks is
// answered with the first one's rows.
type tenantless struct {
	conformance.Store
	method string
}

func (s *tenantless) tenant(method, tenant string) string {
	if s.method == method && tenant == conformance.OtherTenant {
		return conformance.Tenant
	}
	return tenant
}

func (s *tenantless) Certificate(ctx context.Context, tenant, issuer string, serial ca.Serial) (*ca.Certificate, error) {
	return s.Store.Certificate(ctx, s.tenant("Certificate", tenant), issuer, serial)
}

func (s *tenantless) Decision(ctx context.Context, tenant, issuer string, serial ca.Serial) ([]byte, [32]byte, error) {
	return s.Store.Decision(ctx, s.tenant("Decision", tenant), issuer, serial)
}

func (s *tenantless) Answered(ctx context.Context, tenant string, id *ca.Idempotency) (*ca.Certificate, error) {
	return s.Store.Answered(ctx, s.tenant("Answered", tenant), id)
}

func (s *tenantless) Revoke(ctx context.Context, r *ca.Revocation) (*ca.Status, error) {
	changed := *r
	changed.Tenant = s.tenant("Revoke", r.Tenant)
	return s.Store.Revoke(ctx, &changed)
}

func (s *tenantless) StatusPage(ctx context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	return s.Store.StatusPage(ctx, s.tenant("StatusPage", tenant), issuer, after, limit)
}

func (s *tenantless) CRL(ctx context.Context, tenant, issuer, scope string, number int64) (*ca.CRL, error) {
	return s.Store.CRL(ctx, s.tenant("CRL", tenant), issuer, scope, number)
}

func (s *tenantless) PublishCRL(ctx context.Context, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
	changed := *c
	changed.Tenant = s.tenant("PublishCRL", c.Tenant)
	return s.Store.PublishCRL(ctx, l, &changed, a)
}

func (s *tenantless) Delivered(ctx context.Context, tenant string, id int64) error {
	return s.Store.Delivered(ctx, s.tenant("Delivered", tenant), id)
}

func (s *tenantless) Credential(ctx context.Context, tenant, id string) (*credential.Record, error) {
	return s.Store.Credential(ctx, s.tenant("Credential", tenant), id)
}

func (s *tenantless) CredentialByLookup(ctx context.Context, tenant string, lookups [][]byte) (*credential.Record, error) {
	return s.Store.CredentialByLookup(ctx, s.tenant("CredentialByLookup", tenant), lookups)
}

func (s *tenantless) Credentials(ctx context.Context, tenant, after string, limit int) ([]credential.Record, error) {
	return s.Store.Credentials(ctx, s.tenant("Credentials", tenant), after, limit)
}

func (s *tenantless) RevokeCredential(ctx context.Context, tenant, id string, a ca.Audit) error {
	return s.Store.RevokeCredential(ctx, s.tenant("RevokeCredential", tenant), id, a)
}

func (s *tenantless) Generations(ctx context.Context, tenant string) ([]ca.Generation, error) {
	return s.Store.Generations(ctx, s.tenant("Generations", tenant))
}

func (s *tenantless) AddGeneration(ctx context.Context, g *ca.Generation, a ca.Audit) error {
	changed := *g
	changed.Tenant = s.tenant("AddGeneration", g.Tenant)
	return s.Store.AddGeneration(ctx, &changed, a)
}

func (s *tenantless) Activate(ctx context.Context, a *ca.Activation, audit ca.Audit) error {
	changed := *a
	changed.Tenant = s.tenant("Activate", a.Tenant)
	return s.Store.Activate(ctx, &changed, audit)
}

func (s *tenantless) Activations(ctx context.Context, tenant string) ([]ca.Activation, error) {
	return s.Store.Activations(ctx, s.tenant("Activations", tenant))
}

func (s *tenantless) KeepServiceCertificate(c *ca.ServiceCertificate) ca.Effect {
	changed := *c
	changed.Tenant = s.tenant("KeepServiceCertificate", c.Tenant)
	return s.Store.KeepServiceCertificate(&changed)
}

func (s *tenantless) ServiceCertificates(ctx context.Context, tenant, issuer, service string) ([]ca.ServiceCertificate, error) {
	return s.Store.ServiceCertificates(ctx, s.tenant("ServiceCertificates", tenant), issuer, service)
}

func (s *tenantless) ForgetServiceCertificate(ctx context.Context, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
	changed := *c
	changed.Tenant = s.tenant("ForgetServiceCertificate", c.Tenant)
	return s.Store.ForgetServiceCertificate(ctx, l, &changed, a)
}

func (s *tenantless) Burn(tenant, id string) ca.Effect {
	return s.Store.Burn(s.tenant("Burn", tenant), id)
}

func (s *tenantless) Post(tenant, topic string, payload []byte) ca.Effect {
	return s.Store.Post(s.tenant("Post", tenant), topic, payload)
}

func tenantFlaws() (all []flaw) {
	for _, method := range []string{"Certificate", "Decision", "Answered", "Revoke", "StatusPage", "CRL", "PublishCRL", "Delivered", "Credential", "CredentialByLookup", "Credentials", "RevokeCredential", "Generations", "AddGeneration", "Activate", "Activations",
		"KeepServiceCertificate", "ServiceCertificates", "ForgetServiceCertificate", "Burn", "Post"} {
		all = append(all, flaw{"tenant dropped in " + method, []string{"TenantSwap" + method},
			func(d *conformance.Driver) { d.Store = &tenantless{d.Store, method} }})
	}
	return append(all, flaw{"tenant dropped with names", []string{"TenantSwapCertificate"}, func(d *conformance.Driver) {
		read := d.AltNames
		d.AltNames = func(ctx context.Context, _, issuer string, serial ca.Serial) ([]pkix.GeneralName, error) {
			return read(ctx, conformance.Tenant, issuer, serial)
		}
	}})
}

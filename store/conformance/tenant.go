package conformance

import (
	"maps"
	"reflect"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
)

// tenantCases has one case for each method that takes a tenant.
func tenantCases() []Case {
	all := []Case{{"MethodsClassified", methodsClassified}}
	for _, name := range slices.Sorted(maps.Keys(swaps)) {
		if try := swaps[name].try; try != nil {
			all = append(all, Case{"TenantSwap" + name, func(t T, open func() *Driver) { tenantSwap(t, open, try) }})
		}
	}
	return all
}

// swap is what one method does when it is called with another tenant than the
// one that owns the data; shared says why a method takes no tenant.
type swap struct {
	shared string
	try    func(k *kit, e *ca.Entry)
}

// swaps classifies every method of a Store: a new one must be put here.
var swaps = map[string]swap{
	"Close":            {shared: "ends the process's use of the store"},
	"Now":              {shared: "one clock"},
	"Feed":             {shared: "the status feed is read by replicas, for every tenant; rows carry theirs"},
	"FeedEnd":          {shared: "the status feed is read by replicas, for every tenant"},
	"CRLHeads":         {shared: "replicas publish every tenant's lists; rows carry theirs"},
	"CRL":              {try: swapCRL},
	"PublishCRL":       {try: swapPublishCRL},
	"StatusPage":       {try: swapStatusPage},
	"KeepProfile":      {shared: "a text is found by its hash alone, whoever wrote it"},
	"Profile":          {shared: "a text is found by its hash alone, whoever wrote it"},
	"Note":             {shared: "appends a row that carries its tenant; reads nothing"},
	"Acquire":          {shared: "leases belong to the installation"},
	"Release":          {shared: "leases belong to the installation"},
	"Held":             {shared: "leases belong to the installation"},
	"Waiting":          {shared: "the outbox is delivered by replicas, for every tenant; rows carry theirs"},
	"DataKeys":         {shared: "data keys belong to the installation; what they seal is bound to its tenant"},
	"Rewrap":           {shared: "data keys belong to the installation; what they seal is bound to its tenant"},
	"AddDataKey":       {shared: "data keys belong to the installation; what they seal is bound to its tenant"},
	"Certificate":      {try: swapCertificate},
	"Decision":         {try: swapDecision},
	"Answered":         {try: swapAnswered},
	"Record":           {try: swapRecord},
	"Revoke":           {try: swapRevoke},
	"Post":             {try: swapPost},
	"Delivered":        {try: swapDelivered},
	"Burn":             {try: swapBurn},
	"Generations":      {try: swapGenerations},
	"AddGeneration":    {try: swapGenerations},
	"SweepUnique":      {shared: "what has ended is swept for every tenant"},
	"SweepPending":     {shared: "what has ended is swept for every tenant"},
	"SweepSuperseded":  {shared: "what has ended is swept for every tenant"},
	"DueSuperseded":    {shared: "replicas revoke every tenant's; rows carry theirs"},
	"StrikeSuperseded": {try: swapSuperseded},
	"Activate":         {try: swapActivations},
	"Activations":      {try: swapActivations},

	"AddCredential":      {try: swapAddCredential},
	"Credential":         {try: swapCredential},
	"CredentialByLookup": {try: swapCredentialByLookup},
	"Credentials":        {try: swapCredentials},
	"RevokeCredential":   {try: swapRevokeCredential},

	"KeepServiceCertificate":   {try: swapServices},
	"ServiceCertificates":      {try: swapServices},
	"ForgetServiceCertificate": {try: swapServices},

	"Park":            {shared: "a row that carries its tenant; PendingRequest shows what it finds"},
	"PendingRequests": {shared: "PendingRequest shows what it finds"},
	"Settle":          {shared: "PendingRequest shows what it finds"},
	"IssuePending":    {shared: "PendingRequest shows what it finds"},
	"DuePending":      {shared: "replicas move every tenant's requests on; rows carry theirs"},
	"CountPending":    {shared: "counts by tenant, for the metrics"},
	"PendingRequest":  {try: swapPending},

	"PendingTransaction": {try: swapPendingTransaction},
	"KeepReply":          {shared: "a row that carries its tenant; KeptReply shows what it finds"},
	"KeptReply":          {try: swapReply},
	"SweepReplies":       {shared: "what is over is swept for every tenant"},
}

func methodsClassified(t T, _ func() *Driver) {
	of := reflect.TypeFor[Store]()
	for i := range of.NumMethod() {
		name := of.Method(i).Name
		if s, ok := swaps[name]; !ok || (s.shared == "") == (s.try == nil) {
			t.Errorf("method %s is not classified: say why it takes no tenant, or try it with another one", name)
		}
	}
	if len(swaps) != of.NumMethod() {
		t.Errorf("%d methods are classified, a Store has %d", len(swaps), of.NumMethod())
	}
}

// tenantSwap: with another tenant's name nothing of a tenant is found or changed.
func tenantSwap(t T, open func() *Driver, try func(*kit, *ca.Entry)) {
	k := start(t, open)
	e := k.keyed(newKey())
	k.record(e)
	try(k, e)
	touched := slices.ContainsFunc(k.feed(0), func(s ca.Status) bool { return s.Serial == e.Certificate.Serial })
	if !k.stored(e) || k.state(e) != ca.Issued || touched {
		t.Errorf("the other tenant changed the certificate")
	}
}

func swapCertificate(k *kit, e *ca.Entry) {
	_, err := k.Store.Certificate(k.Context(), OtherTenant, caID, e.Certificate.Serial)
	k.kind("another tenant's certificate", err, ca.NotFound)
	if names, err := k.AltNames(k.Context(), OtherTenant, caID, e.Certificate.Serial); err != nil || len(names) != 0 {
		k.Errorf("another tenant's names: %v, %v", names, err)
	}
}

func swapDecision(k *kit, e *ca.Entry) {
	_, _, err := k.Store.Decision(k.Context(), OtherTenant, caID, e.Certificate.Serial)
	k.kind("another tenant's decision", err, ca.NotFound)
}

func swapAnswered(k *kit, e *ca.Entry) {
	if _, err := k.Store.Answered(k.Context(), Tenant, &e.Idempotency); err != nil {
		k.Errorf("its own answer: %v", err)
	}
	_, err := k.Store.Answered(k.Context(), OtherTenant, &e.Idempotency)
	k.kind("another tenant's answer", err, ca.NotFound)
}

// swapRecord: the same key and serial in another tenant are another request and
// another certificate.
func swapRecord(k *kit, e *ca.Entry) {
	other := k.entry(OtherTenant)
	other.Idempotency, other.Certificate.Serial = e.Idempotency, e.Certificate.Serial
	if k.record(other)[0].Replayed || !k.stored(other) {
		k.Errorf("another tenant's recorded answer was given")
	}
}

func swapRevoke(k *kit, e *ca.Entry) {
	r := revocation(e, ca.Superseded)
	r.Tenant, r.Audit.Tenant = OtherTenant, OtherTenant
	_, err := k.Store.Revoke(k.Context(), r)
	k.kind("revocation by another tenant", err, ca.NotFound)
}

func swapPost(k *kit, _ *ca.Entry) {
	k.record(k.entry(OtherTenant, k.Store.Post(OtherTenant, "test", []byte("1"))))
	got, err := k.Store.Waiting(k.Context(), 10)
	if err != nil || len(got) != 1 || got[0].Tenant != OtherTenant {
		k.Errorf("messages: %v, %v", got, err)
	}
}

func swapDelivered(k *kit, _ *ca.Entry) {
	k.record(k.entry(Tenant, k.Store.Post(Tenant, "test", []byte("1"))))
	got, err := k.Store.Waiting(k.Context(), 10)
	if err != nil || len(got) != 1 {
		k.Fatalf("messages: %v, %v", got, err)
	}
	if err := k.Store.Delivered(k.Context(), OtherTenant, got[0].ID); err != nil && !ca.IsKind(err, ca.NotFound) {
		k.Errorf("another tenant's message: %v", err)
	}
	if got, err := k.Store.Waiting(k.Context(), 10); err != nil || len(got) != 1 {
		k.Errorf("another tenant ended a message: %v, %v", got, err)
	}
}

func swapBurn(k *kit, _ *ca.Entry) {
	id := k.credential(Tenant, 1)
	e := k.entry(OtherTenant, k.Store.Burn(OtherTenant, id))
	_, err := k.Store.Record(k.Context(), e)
	k.lost(err, 0, 0)
	if k.usesLeft(Tenant, id) != 1 {
		k.Errorf("another tenant burnt a use")
	}
}

func swapGenerations(k *kit, _ *ca.Entry) {
	for _, tenant := range []string{Tenant, OtherTenant} {
		g := &ca.Generation{Tenant: tenant, CA: caID, Number: 1, KeyURI: "file:" + tenant, DER: []byte{1}, Root: []byte{1}}
		err := k.Store.AddGeneration(k.Context(), g, ca.Audit{Tenant: tenant, Event: "ca.created", Actor: "x", Trace: ca.NewTrace(), Detail: []byte("{}")})
		if err != nil {
			k.Errorf("the same number in another tenant: %v", err)
		}
		got, err := k.Store.Generations(k.Context(), tenant)
		if err != nil || len(got) != 1 || got[0].Tenant != tenant || got[0].KeyURI != "file:"+tenant {
			k.Errorf("generations of %s: %v, %v", tenant, got, err)
		}
	}
	if got, err := k.Store.Generations(k.Context(), "third"); err != nil || len(got) != 0 {
		k.Errorf("generations of a tenant without any: %v, %v", got, err)
	}
}

func swapActivations(k *kit, _ *ca.Entry) {
	note := func(tenant, event string) ca.Audit {
		return ca.Audit{Tenant: tenant, Event: event, Actor: "x", Trace: ca.NewTrace(), Detail: []byte("{}")}
	}
	for i, tenant := range []string{Tenant, OtherTenant} {
		a := &ca.Activation{Tenant: tenant, CA: caID, Position: 1, Generation: 1, From: k.now()}
		k.kind("a generation that only another tenant has", k.Store.Activate(k.Context(), a, note(tenant, "ca.activated")), ca.Conflict)
		g := &ca.Generation{Tenant: tenant, CA: caID, Number: 1, KeyURI: "file:x", DER: []byte{1}, Root: []byte{1}}
		err := k.Store.AddGeneration(k.Context(), g, note(tenant, "ca.created"))
		if err == nil {
			err = k.Store.Activate(k.Context(), a, note(tenant, "ca.activated"))
		}
		if err != nil {
			k.Errorf("the same position in another tenant: %v", err)
		}
		for j, owner := range []string{Tenant, OtherTenant} {
			got, err := k.Store.Activations(k.Context(), owner)
			if want := min(max(i-j+1, 0), 1); err != nil || len(got) != want || want == 1 && got[0].Tenant != owner {
				k.Errorf("activations of %s: %v, %v", owner, got, err)
			}
		}
	}
}

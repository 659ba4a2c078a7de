package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/sqlite"
)

// TestRetentionCommands: a month waits for the CRL after it, goes with an
// operator's word, and explain says what became of its certificates.
func TestRetentionCommands(t *testing.T) {
	dir := t.TempDir()
	text := strings.NewReplacer(`listen: {`, `listen: {http: "127.0.0.1:8080", `, `base_url: {`, `base_url: {http: "http://pki.example.com", `).
		Replace(fmt.Sprintf(scriptConfig, dir, "enrollgate")) + "retention: {certificates: P2M}\n"
	_, ask := installed(t, dir, text)
	says := func(text string, want ...string) {
		t.Helper()
		contains(t, text, want...)
	}
	month := ca.MonthOf(time.Now()) - 3
	revoked, trace := expiredIn(t, filepath.Join(dir, "enrollgate.db"), month)

	says(ask(exitOK, "retention", "list"), month.String()+"  waits", "a first CRL of CA issuing of tenant default")
	says(ask(exitFailed, "retention", "drop", month.String(), "--yes"), "waits for a first CRL", "section 3.3")
	ask(exitOK, "crl", "publish", "--tenant", "default", "--ca", "issuing")
	says(ask(exitOK, "retention", "list", "--json"), `"month": "`+month.String()+`"`, `"state": "due"`)
	says(ask(exitUsage, "retention", "drop", month.String()), "--yes")
	says(ask(exitUsage, "retention", "drop", "last", "--yes"), "2024-07")
	says(ask(exitFailed, "retention", "drop", (month+2).String(), "--yes"), "retention.certificates")
	says(ask(exitOK, "retention", "drop", month.String(), "--yes"), "2 certificates that expired in "+month.String()+" were dropped")
	says(ask(exitFailed, "retention", "drop", month.String(), "--yes", "--json"), "was dropped at")
	says(ask(exitOK, "retention", "list"), month.String()+"  dropped")

	says(ask(exitOK, "explain", revoked.String()), "it expired in "+month.String(), "revoked, superseded", "certificate.revoked")
	says(ask(exitOK, "explain", trace), "it expired in "+month.String(), "certificate.issued")
	says(ask(exitFailed, "explain", ca.NewSerial(time.Now().AddDate(0, -3, 0)).Until(mid(month)).String()), "was dropped on")
	says(ask(exitFailed, "cert", "show", revoked.String()), "any more", "was dropped on")
	says(ask(exitOK, "audit", "verify"), "the audit trail is whole")
}

// mid is a time in a month.
func mid(m ca.Month) time.Time {
	from, _, _ := m.Range()
	return from.AddDate(0, 0, 10)
}

// expiredIn records two certificates that ended in a month, one of them revoked,
// and gives that one and the trace id of the other's issuance.
func expiredIn(t *testing.T, path string, m ca.Month) (revoked ca.Serial, trace string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Replica: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	profile := []byte("id: x\n")
	if err := s.KeepProfile(t.Context(), sha256.Sum256(profile), profile); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		serial := ca.NewSerial(mid(m))
		trace = ca.NewTrace()
		_, err := s.Record(t.Context(), &ca.Entry{ProfileHash: sha256.Sum256(profile), KeyHash: sha256.Sum256(serial[:]), Decision: []byte("[]"),
			Certificate: ca.Certificate{Tenant: "default", CA: "issuing", Serial: serial, DER: []byte{0x30, 0}, NotAfter: mid(m), Trace: trace},
			Audit:       ca.Audit{Tenant: "default", Event: "certificate.issued", Trace: trace, Detail: []byte(`{"ca":"issuing","serial":"` + serial.String() + `"}`)}})
		if err != nil {
			t.Fatal(err)
		}
		if revoked != (ca.Serial{}) {
			continue
		}
		revoked = serial
		if _, err := s.Revoke(t.Context(), &ca.Revocation{Tenant: "default", CA: "issuing", Serial: serial, Reason: ca.Superseded,
			Audit: ca.Audit{Tenant: "default", Event: "certificate.revoked", Detail: []byte(`{"ca":"issuing","serial":"` + serial.String() + `"}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	return revoked, trace
}

// TestRetentionBesideDaemon: the running daemon drops a month when it is told
// to, through its socket, and by itself.
func TestRetentionBesideDaemon(t *testing.T) {
	dir := t.TempDir()
	r := startDaemonIn(t, dir, "retention: {certificates: P2M}\n")
	db := filepath.Join(dir, "data", "enrollgate.db")
	var months []ca.Month
	for m := ca.MonthOf(time.Now()) - 3; ; m-- {
		expiredIn(t, db, m)
		months = append(months, m)
		var out bytes.Buffer
		args := []string{"retention", "drop", m.String(), "--yes", "--json", "--dev", "--data", filepath.Join(dir, "data"), "--config", filepath.Join(dir, "overlay.yaml")}
		if code := run(args, console{&out, &out}); code == exitOK && strings.Contains(out.String(), `"certificates": 2`) {
			break
		} else if !strings.Contains(out.String(), "was dropped at") || len(months) > 3 { // the first run of the daemon's own job may come in between
			t.Fatalf("exit code %d\n%s", code, out.String())
		}
	}
	due := months[len(months)-1] - 1
	expiredIn(t, db, due)
	months = append(months, due)
	if got := r.scrape()["enrollgate_retention_months_dropped_total"]; got == "" || got == "0" {
		t.Errorf("the daemon counts %q dropped months: was it asked?", got)
	}
	l, err := r.store.Acquire(t.Context(), "retention", r.replica, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.retentionJob().Run(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	for _, m := range months {
		record, err := r.store.Month(t.Context(), m)
		if err != nil || record.Cleared.IsZero() || record.Certificates != 2 {
			t.Errorf("%s: %+v, %v", m, record, err)
		}
	}
	if got := r.scrape()["enrollgate_retention_certificates_dropped_total"]; got != strconv.Itoa(2*len(months)) {
		t.Errorf("%q certificates were counted", got)
	}
}

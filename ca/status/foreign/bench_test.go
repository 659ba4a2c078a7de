package foreign

import (
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"testing"
)

// BenchmarkRead checks and packs a list of a million entries, and says how much
// memory stays.
func BenchmarkRead(b *testing.B) {
	const entries = 1_000_000
	a := newAuthority(b, "Partner", x509.KeyUsageCRLSign)
	data := a.list(1, birth, func(l *x509.RevocationList) {
		for i := range entries {
			serial := make([]byte, 16)
			binary.BigEndian.PutUint64(serial, 0x4000000000000000|uint64(i)*0x9e3779b97f4a7c15>>2)
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(serial), RevocationTime: birth, ReasonCode: i % 2})
		}
	})
	b.ReportAllocs()
	var kept *List
	for b.Loop() {
		var err error
		if kept, _, err = Read(data, a.issuer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data)), "octets")
	b.ReportMetric(float64(len(kept.records)+4*len(kept.order))/float64(kept.Len()), "kept/entry")
}

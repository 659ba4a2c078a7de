package ca

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// SerialSize is the length of our serial numbers in octets.
const SerialSize = 16

// monthOverflow is the month of certificates that never expire and of
// expiries that do not fit two octets with the first bit clear.
const monthOverflow Month = 0x7FFF

// Month is a certificate's expiry month, year*12+month-1 of notAfter in UTC.
// It is the first two octets of the serial, so that a serial leads to its
// partition by arithmetic.
type Month uint16

// MonthOf gives the expiry month of a certificate.
func MonthOf(notAfter time.Time) Month {
	notAfter = notAfter.UTC()
	m := notAfter.Year()*12 + int(notAfter.Month()) - 1
	if m < 0x0100 || m >= int(monthOverflow) || notAfter.Year() == 9999 {
		return monthOverflow
	}
	return Month(m)
}

// Range gives the first instant of the month and of the one after; ok is false
// for the overflow month, which has no end.
func (m Month) Range() (from, to time.Time, ok bool) {
	if m == monthOverflow {
		return time.Time{}, time.Time{}, false
	}
	from = time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0), true
}

func (m Month) String() string {
	if m == monthOverflow {
		return "no expiry"
	}
	return fmt.Sprintf("%04d-%02d", int(m)/12, int(m)%12+1)
}

// Serial is a certificate serial number of ours: 2 octets of expiry month and
// 14 random octets (112 bits). The first bit is never set and the first octet
// never zero, so the DER INTEGER has exactly 16 content octets.
type Serial [SerialSize]byte

// NewSerial makes a serial for a certificate that expires at notAfter.
func NewSerial(notAfter time.Time) Serial { return randomSerial().Until(notAfter) }

// randomSerial is a serial without its month.
func randomSerial() (s Serial) {
	rand.Read(s[2:]) // never fails (crypto/rand)
	return s
}

// Until gives the serial with the month of an expiry.
func (s Serial) Until(notAfter time.Time) Serial {
	m := MonthOf(notAfter)
	s[0], s[1] = byte(m>>8), byte(m)
	return s
}

// Month gives the expiry month that the serial carries.
func (s Serial) Month() Month { return Month(s[0])<<8 | Month(s[1]) }

// EndOfMonth is when the month of expiry ends: what is kept about the certificate
// may go then. For the month of what does not expire, or whose month cannot be told, it is the last day of 9999.
func (s Serial) EndOfMonth() time.Time {
	if _, end, ok := s.Month().Range(); ok {
		return end
	}
	return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
}

// String is the serial as 32 lower-case hex digits.
func (s Serial) String() string { return hex.EncodeToString(s[:]) }

// ParseSerial reads 32 hex digits; colons and spaces, as other tools print
// them, are ignored.
func ParseSerial(text string) (Serial, error) {
	var s Serial
	clean := strings.NewReplacer(":", "", " ", "").Replace(text)
	b, err := hex.DecodeString(clean)
	if err != nil || len(b) != SerialSize || b[0] == 0 || b[0] >= 0x80 {
		return s, Errorf(BadRequest, "%q is not a serial number of ours: 32 hexadecimal digits", clipText(text))
	}
	copy(s[:], b)
	return s, nil
}

func clipText(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

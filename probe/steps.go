package probe

import (
	"fmt"
	"time"
)

// Step is a part of a run; its value is a metric's label.
type Step string

// The steps, in the order in which a run takes them. A door has some of those up
// to Enroll, and maybe Renew and Revoke.
const (
	Directory Step = "directory"
	Nonce     Step = "nonce"
	Account   Step = "account"
	Order     Step = "order"
	Challenge Step = "challenge"
	Finalize  Step = "finalize"
	Download  Step = "download"
	CACerts   Step = "cacerts"
	CSRAttrs  Step = "csrattrs"
	CACaps    Step = "cacaps"
	CACert    Step = "cacert"
	Enroll    Step = "enroll"
	Chain     Step = "chain"
	OCSP      Step = "ocsp"
	CRL       Step = "crl"
	Renew     Step = "renew"
	Revoke    Step = "revoke"
	Revoked   Step = "revoked" // seen to be, by OCSP
)

// Failure is why a step failed, and what to do about it.
type Failure struct {
	Do  string // a sentence
	Err error
}

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// failure makes one; %w wraps.
func failure(do, format string, args ...any) *Failure {
	return &Failure{do, fmt.Errorf(format, args...)}
}

// Taken is a step that was taken.
type Taken struct {
	Step    Step    `json:"step"`
	Seconds float64 `json:"seconds"`
	Note    string  `json:"note,omitempty"`  // what was found, or why there was nothing to look at
	Error   string  `json:"error,omitempty"` // empty: it succeeded
	Do      string  `json:"do,omitempty"`    // what to do about the error
}

// Steps times what a run does.
type Steps struct {
	taken []Taken
	now   func() time.Time
}

// Do takes a step. What do gives as a note is reported; an error ends the run, and
// should be a *Failure.
func (s *Steps) Do(step Step, do func() (note string, err error)) error {
	began := s.now()
	note, err := do()
	s.add(step, s.now().Sub(began), note, err)
	return err
}

// add reports a step that was timed elsewhere.
func (s *Steps) add(step Step, took time.Duration, note string, err error) {
	t := Taken{Step: step, Seconds: took.Seconds(), Note: note}
	if err != nil {
		t.Error, t.Do = err.Error(), adviceOf(step, err)
	}
	s.taken = append(s.taken, t)
}

package ca

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// A parked request outlives the process that verified its caller and claims.
// Verifying them again later is not possible: the JWS carried a nonce that is
// struck, and an authorization may have ended. So the whole request is written
// down and sealed (AES-256-GCM, with the tenant and the request's id bound to
// it), and what opens is as good as what was verified. Who can write to the
// store, but has not the key-encryption key, can neither make a request nor
// change one; nor can it approve one, because the operator's word is sealed in
// the same way under an id of its own.

// Sealing seals records of the core; package seal does it.
type Sealing interface {
	Seal(ctx context.Context, tenant, id string, plaintext []byte) ([]byte, error)
	// Open gives what Seal was given for the same tenant and id: Internal for anything else.
	Open(ctx context.Context, tenant, id string, sealed []byte) ([]byte, error)
}

// requestRecord is a parked request in the clear.
type requestRecord struct {
	Format      int                `json:"format"`
	Trace       string             `json:"trace"`
	Endpoint    string             `json:"endpoint"`
	Operation   Operation          `json:"operation"`
	Caller      json.RawMessage    `json:"caller"`
	Possession  json.RawMessage    `json:"possession"`
	Claims      []json.RawMessage  `json:"claims"`
	Subject     []byte             `json:"subject"`
	AltNames    []pkix.GeneralName `json:"alt_names"`
	Extensions  []pkix.Extension   `json:"extensions"`
	NotBefore   time.Time          `json:"not_before,omitzero"`
	NotAfter    time.Time          `json:"not_after,omitzero"`
	Renews      []byte             `json:"renews,omitempty"`
	RenewsKey   json.RawMessage    `json:"renews_key,omitempty"`
	Transaction string             `json:"transaction"`
	InPlace     []byte             `json:"in_place_of_key,omitempty"`
	Window      time.Duration      `json:"window"`
}

const requestFormat = 1

// writeRequest writes a request down without its effects: those belong to the
// moment.
func writeRequest(r *Request) ([]byte, error) {
	w := requestRecord{Format: requestFormat, Trace: r.Trace, Endpoint: r.Endpoint, Operation: r.Operation, Subject: r.Asserted.Subject,
		AltNames: r.Asserted.AltNames, Extensions: r.Asserted.Extensions, NotBefore: r.Asserted.NotBefore, NotAfter: r.Asserted.NotAfter,
		Transaction: r.Transaction, InPlace: r.InPlaceOfKey, Window: r.Window}
	var err error
	if w.Caller, err = caller.Record(r.Caller); err != nil {
		return nil, InternalError(err)
	}
	if w.Possession, err = claim.RecordPossession(r.Possession); err != nil {
		return nil, InternalError(err)
	}
	for _, c := range r.Claims {
		record, err := claim.Record(c)
		if err != nil {
			return nil, InternalError(err)
		}
		w.Claims = append(w.Claims, record)
	}
	if r.Renews != nil {
		w.Renews = r.Renews.Certificate
	}
	if r.Renews != nil && r.Renews.Possession.Verified() {
		if w.RenewsKey, err = claim.RecordPossession(r.Renews.Possession); err != nil {
			return nil, InternalError(err)
		}
	}
	text, err := json.Marshal(w)
	if err != nil {
		return nil, InternalError(err)
	}
	return text, nil
}

// readRequest makes the request that writeRequest wrote. Its text comes out of
// a seal.
func readRequest(text []byte) (*Request, error) {
	var w requestRecord
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, InternalError(err)
	}
	if w.Format != requestFormat {
		return nil, InternalError(fmt.Errorf("a parked request has format %d", w.Format))
	}
	r := &Request{Trace: w.Trace, Endpoint: w.Endpoint, Operation: w.Operation, Transaction: w.Transaction, InPlaceOfKey: w.InPlace, Window: w.Window,
		Asserted: Asserted{Subject: w.Subject, AltNames: w.AltNames, Extensions: w.Extensions, NotBefore: w.NotBefore, NotAfter: w.NotAfter}}
	var err error
	if r.Caller, err = caller.FromRecord(w.Caller); err != nil {
		return nil, InternalError(err)
	}
	if r.Possession, err = claim.PossessionFromRecord(w.Possession); err != nil {
		return nil, InternalError(err)
	}
	for _, record := range w.Claims {
		c, err := claim.FromRecord(record)
		if err != nil {
			return nil, InternalError(err)
		}
		r.Claims = append(r.Claims, c)
	}
	if w.Renews != nil {
		r.Renews = &Renewal{Certificate: w.Renews}
	}
	if w.RenewsKey != nil {
		if r.Renews == nil {
			return nil, InternalError(errors.New("a parked request has the key of no certificate"))
		}
		if r.Renews.Possession, err = claim.PossessionFromRecord(w.RenewsKey); err != nil {
			return nil, InternalError(err)
		}
	}
	return r, nil
}

// approvalRecord is an operator's word in the clear.
type approvalRecord struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// approvalID is what an approval is sealed under, which no request is.
func approvalID(id string) string { return id + "/approval" }

// open gives a parked request as it was made.
func (a *Authority) open(ctx context.Context, p *PendingRequest) (*Request, error) {
	text, err := a.approvals.Sealing.Open(ctx, p.Tenant, p.ID, p.Sealed)
	if err != nil {
		return nil, err
	}
	return readRequest(text)
}

// approval gives the operator's word about an approved request.
func (a *Authority) approval(ctx context.Context, p *PendingRequest) (*approvalRecord, error) {
	text, err := a.approvals.Sealing.Open(ctx, p.Tenant, approvalID(p.ID), p.Approval)
	if err != nil {
		return nil, err
	}
	w := &approvalRecord{}
	if err := json.Unmarshal(text, w); err != nil {
		return nil, InternalError(err)
	}
	return w, nil
}

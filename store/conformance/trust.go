package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
)

// Tampering is what somebody who owns the schema does to the trail.
type Tampering struct {
	What   string // one of the constants below
	Chain  string
	Seq    int64 // of a batch
	Number int64 // of a checkpoint
	// Forged replaces checkpoint Number.
	Forged *audit.Checkpoint
}

const (
	ChangeRow       = "change the first row of a batch"
	RemoveRow       = "remove the first row of a batch"
	SwapRows        = "swap the first two rows of a batch"
	RemoveBatch     = "remove a batch with its rows"
	RemoveHead      = "remove a batch and leave its rows"
	RemoveTail      = "remove a batch and all after it, rows included"
	RemoveChain     = "remove a chain"
	RemoveCheck     = "remove a checkpoint"
	ForgeCheckpoint = "put another checkpoint in the place of one"
)

// AuditCases lists the suite of the signed audit trail.
func AuditCases() []Case {
	all := []Case{
		{"MethodsClassified", auditMethods},
		{"Append", appendRows},
		{"Checkpoints", checkpointsMade},
		{"TwoSigners", twoSigners},
		{"TailBeforeCheckpoint", tailBeforeCheckpoint},
		{"LaterCheckpoints", laterCheckpoints},
	}
	for _, c := range tamperings {
		all = append(all, Case{"Tampered/" + strings.ReplaceAll(c.what, " ", "_"), func(t T, open func() *Driver) { tampered(t, open, c) }})
	}
	return all
}

// auditShared says why methods of an audit.Store take no tenant.
var auditShared = map[string]string{
	"Append": "rows carry their tenant", "Uncovered": "chains belong to replicas", "LastCheckpoint": "one list for the installation",
	"AddCheckpoint": "one list for the installation", "AuditKeys": "the key is the installation's", "AddAuditKey": "the key is the installation's",
	"ReadTrail": "the whole trail is verified; rows carry their tenant", "Now": "one clock",
}

func auditMethods(t T, _ func() *Driver) {
	of := reflect.TypeFor[audit.Store]()
	for i := range of.NumMethod() {
		if auditShared[of.Method(i).Name] == "" {
			t.Errorf("method %s is not classified", of.Method(i).Name)
		}
	}
	if of.NumMethod() != len(auditShared) {
		t.Errorf("%d methods are classified, an audit.Store has %d", len(auditShared), of.NumMethod())
	}
}

// signer makes checkpoints of the store's chains.
func (k *kit) signer() (*audit.Signer, []byte) {
	s := audit.NewSigner(k.Audit, k.keyring(1), slog.New(slog.DiscardHandler))
	root, err := s.Root(k.Context())
	if err != nil {
		k.Fatalf("audit root: %v", err)
	}
	return s, root
}

// fill appends batches of three rows.
func (k *kit) fill(batches int) {
	for i := range batches {
		var rows []ca.Audit
		for j := range 3 {
			rows = append(rows, ca.Audit{Tenant: Tenant, Event: "test", Actor: "operator:x", Trace: ca.NewTrace(), Detail: fmt.Appendf(nil, `{"n":%d}`, 3*i+j)})
		}
		if err := k.Audit.Append(k.Context(), rows...); err != nil {
			k.Fatalf("append: %v", err)
		}
	}
}

func (k *kit) checkpoint(s *audit.Signer) {
	if _, err := s.All(k.Context()); err != nil {
		k.Fatalf("checkpoint: %v", err)
	}
}

func (k *kit) verify(root []byte) *audit.Report {
	var report *audit.Report
	err := k.Audit.ReadTrail(k.Context(), func(t audit.Trail) (err error) {
		report, err = audit.Verify(t, root, nil)
		return err
	})
	if err != nil {
		k.Fatalf("verify: %v", err)
	}
	return report
}

// last gives a chain with at least five batches of rows, its last batch of
// rows, and the newest checkpoint about it.
func (k *kit) last() (chain string, seq int64, number int64) {
	longest := map[string]int64{}
	for _, b := range k.trail() {
		if len(b.Rows) == 3 {
			longest[b.Chain] = b.Seq
			if chain == "" || b.Seq >= longest[chain] {
				chain = b.Chain
			}
		}
	}
	err := k.Audit.ReadTrail(k.Context(), func(t audit.Trail) error {
		all, err := t.Checkpoints(0, 100)
		for _, c := range all {
			if c.Chain == chain {
				number = c.Number
			}
		}
		return err
	})
	if err != nil || longest[chain] < 5 {
		k.Fatalf("the longest chain has %d batches, %v", longest[chain], err)
	}
	return chain, longest[chain], number
}

func appendRows(t T, open func() *Driver) {
	k := start(t, open)
	a := keyAudit()
	if err := k.Audit.Append(t.Context(), a); err != nil {
		t.Fatalf("append: %v", err)
	}
	if k.audited(a.Trace) != 1 {
		t.Errorf("an appended row is not there when Append returns")
	}
}

// checkpointsMade: a thousand rows or an hour make a checkpoint due, and a
// checkpoint covers its rows.
func checkpointsMade(t T, open func() *Driver) {
	k := start(t, open)
	s, root := k.signer()
	due := func(want bool, why string) {
		n, err := s.Due(t.Context())
		if err != nil || (n > 0) != want {
			t.Errorf("%s: %d checkpoints, %v", why, n, err)
		}
	}
	k.fill(2)
	due(false, "a few rows")
	k.Advance(audit.EveryTime + time.Minute)
	due(true, "a few rows an hour ago")
	due(false, "nothing since")
	rows := make([]ca.Audit, audit.EveryRows)
	for i := range rows {
		rows[i] = keyAudit()
	}
	if err := k.Audit.Append(t.Context(), rows...); err != nil {
		t.Fatalf("append: %v", err)
	}
	due(true, "a thousand rows")
	k.fill(1)
	r := k.verify(root)
	if r.Break != nil || r.Uncovered != 3 || r.Rows < audit.EveryRows+9 || r.Checkpoints < 2 {
		t.Errorf("report: %+v", r)
	}
	k.checkpoint(s)
	if r := k.verify(root); r.Break != nil || r.Uncovered != 0 {
		t.Errorf("after a checkpoint of all: %+v", r)
	}
	// Another replica with the same key goes on with the list.
	other, sameRoot := k.signer()
	k.fill(1)
	k.checkpoint(other)
	if r := k.verify(sameRoot); r.Break != nil || string(sameRoot) != string(root) {
		t.Errorf("with another replica's checkpoint: %+v", r)
	}
	if r := k.verify(otherRoot(t)); r.Break == nil || r.Break.Checkpoint != 1 {
		t.Errorf("with another root of trust: %+v", r)
	}
}

// paused is a store whose reader of heads sleeps until other is done.
type paused struct {
	audit.Store
	other func()
}

func (p paused) Uncovered(ctx context.Context) ([]audit.Head, error) {
	heads, err := p.Store.Uncovered(ctx)
	p.other()
	return heads, err
}

// twoSigners: a signer that was paused after it had read the heads adds no
// checkpoint of an older head behind another signer's.
func twoSigners(t T, open func() *Driver) {
	k := start(t, open)
	quick, root := k.signer()
	k.checkpoint(quick)
	k.fill(1)
	slow := audit.NewSigner(paused{k.Audit, func() {
		k.fill(1)
		k.checkpoint(quick)
	}}, k.keyring(1), slog.New(slog.DiscardHandler))
	if n, err := slow.All(t.Context()); n != 0 || err != nil {
		t.Errorf("the paused signer made %d checkpoints, %v", n, err)
	}
	if r := k.verify(root); r.Break != nil || r.Uncovered != 0 {
		t.Errorf("report: %+v", r)
	}
	k.fill(1)
	k.checkpoint(quick)
	if r := k.verify(root); r.Break != nil {
		t.Errorf("a checkpoint later: %+v", r)
	}
}

func otherRoot(t T) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	der, err := audit.MarshalRoot(&key.PublicKey)
	if err != nil {
		t.Fatalf("root: %v", err)
	}
	return der
}

// tamperings are made on chains with a checkpoint over everything; each is
// found where it was made.
var tamperings = []struct {
	what string
	back int64 // how far before the last batch
	want string
}{
	{ChangeRow, 2, "hash is another"},
	{SwapRows, 2, "hash is another"},
	{RemoveRow, 1, "rows were removed"},
	{RemoveBatch, 2, "the batch was removed"},
	{RemoveHead, 2, "the batch was removed"},
	{RemoveTail, 1, "tail was removed"},
	{RemoveChain, 0, "whole chain was removed"},
	{RemoveCheck, 0, "missing"},
	{ForgeCheckpoint, 0, "forged"},
}

func tampered(t T, open func() *Driver, c struct {
	what string
	back int64
	want string
}) {
	k := start(t, open)
	s, root := k.signer()
	k.fill(14)
	k.checkpoint(s)
	chain, seq, number := k.last()
	k.fill(1) // for the list of checkpoints to go on
	k.checkpoint(s)
	if r := k.verify(root); r.Break != nil {
		t.Fatalf("before: %v", r.Break)
	}
	how := Tampering{What: c.what, Chain: chain, Seq: seq - c.back, Number: number}
	if c.what == ForgeCheckpoint {
		how.Forged = k.forge(number)
	}
	if err := k.Tamper(how); err != nil {
		t.Fatalf("%s: %v", c.what, err)
	}
	b := k.verify(root).Break
	switch {
	case b == nil:
		t.Errorf("%s: not found", c.what)
	case !strings.Contains(b.What, c.want):
		t.Errorf("%s: found %q, want %q", c.what, b, c.want)
	case strings.Contains(c.what, "checkpoint"):
		if b.Checkpoint != number {
			t.Errorf("%s %d: found at %+v", c.what, number, b)
		}
	case b.Chain != chain || c.back > 0 && b.Seq != seq-c.back:
		t.Errorf("%s at %s/%d: found at %+v", c.what, chain, seq-c.back, b)
	}
}

// forge signs a checkpoint about the same place with a key of its own.
func (k *kit) forge(number int64) *audit.Checkpoint {
	var c audit.Checkpoint
	err := k.Audit.ReadTrail(k.Context(), func(t audit.Trail) error {
		all, err := t.Checkpoints(number-1, 1)
		if err == nil {
			c = all[0]
		}
		return err
	})
	if err != nil {
		k.Fatalf("checkpoint %d: %v", number, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.Fatalf("key: %v", err)
	}
	c.Hash[0] ^= 1
	sum := c.Sum()
	if c.Signature, err = ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
		k.Fatalf("sign: %v", err)
	}
	return &c
}

// tailBeforeCheckpoint: what no checkpoint covers can be taken away unseen. The
// documentation says so; this keeps it true to what happens.
func tailBeforeCheckpoint(t T, open func() *Driver) {
	k := start(t, open)
	_, root := k.signer()
	k.fill(12)
	chain, seq, _ := k.last()
	before := k.verify(root)
	if err := k.Tamper(Tampering{What: RemoveTail, Chain: chain, Seq: seq}); err != nil {
		t.Fatalf("tamper: %v", err)
	}
	after := k.verify(root)
	if after.Break != nil || after.Rows != before.Rows-3 || after.Uncovered != before.Uncovered-3 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// laterCheckpoints: a chain's tail and its own checkpoint cannot go together
// where any chain has a later checkpoint.
func laterCheckpoints(t T, open func() *Driver) {
	k := start(t, open)
	s, root := k.signer()
	k.fill(12)
	k.checkpoint(s)
	chain, seq, number := k.last()
	k.fill(2)
	k.checkpoint(s)
	for _, how := range []Tampering{{What: RemoveTail, Chain: chain, Seq: seq}, {What: RemoveCheck, Number: number}} {
		if err := k.Tamper(how); err != nil {
			t.Fatalf("tamper: %v", err)
		}
	}
	if b := k.verify(root).Break; b == nil || b.Checkpoint != number {
		t.Errorf("found %v, want that checkpoint %d is missing", b, number)
	}
}

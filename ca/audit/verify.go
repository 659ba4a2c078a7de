package audit

import (
	"crypto/ecdsa"
	"fmt"
)

// Break is the first place where the trail is not what was written.
type Break struct {
	Chain      string `json:"chain,omitempty"`
	Seq        int64  `json:"seq,omitempty"`        // of the batch
	Checkpoint int64  `json:"checkpoint,omitempty"` // its number
	What       string `json:"what"`
}

// Error says where and what.
func (b *Break) Error() string {
	switch {
	case b.Checkpoint > 0 && b.Chain != "":
		return fmt.Sprintf("checkpoint %d of chain %s at batch %d: %s", b.Checkpoint, b.Chain, b.Seq, b.What)
	case b.Checkpoint > 0:
		return fmt.Sprintf("checkpoint %d: %s", b.Checkpoint, b.What)
	case b.Chain != "":
		return fmt.Sprintf("chain %s, batch %d: %s", b.Chain, b.Seq, b.What)
	}
	return b.What
}

// Report is what was verified, up to the break where there is one.
type Report struct {
	Chains      int   `json:"chains"`
	Batches     int64 `json:"batches"`
	Rows        int64 `json:"rows"`
	Checkpoints int64 `json:"checkpoints"`
	// Uncovered rows came after the last checkpoint of their chain: their hashes
	// fit, but whoever owns the schema could have rewritten or removed them.
	Uncovered int64  `json:"uncovered_rows"`
	Break     *Break `json:"break,omitempty"`
}

// pages bound what is held in memory: a batch has at most some hundred rows.
const (
	batchPage      = 64
	checkpointPage = 512
)

// Verify reads a trail. root is the audit service key that checkpoints must be
// signed with (SubjectPublicKeyInfo, DER). progress, which may be nil, is called
// now and then. A broken trail is no error: Report.Break says where.
func Verify(t Trail, root []byte, progress func(*Report)) (*Report, error) {
	public, err := parsePublic(root)
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(*Report) {}
	}
	v := &verifier{trail: t, public: public, progress: progress, places: map[string][]place{}}
	for _, part := range []func() error{v.checkpoints, v.chains, v.leftovers} {
		if err := part(); err != nil || v.report.Break != nil {
			return &v.report, err
		}
	}
	return &v.report, nil
}

// place is what a checkpoint says about a chain.
type place struct {
	number, seq, rows int64
	hash              [32]byte
}

type verifier struct {
	trail    Trail
	public   *ecdsa.PublicKey
	progress func(*Report)
	places   map[string][]place // by chain, in order; some 100 octets for 1,000 rows
	report   Report
}

func (v *verifier) broken(b *Break) { v.report.Break = b }

// checkpoints checks the list of checkpoints by itself.
func (v *verifier) checkpoints() error {
	var last Checkpoint
	var prev [32]byte
	for {
		page, err := v.trail.Checkpoints(last.Number, checkpointPage)
		if err != nil {
			return err
		}
		for i := range page {
			c := &page[i]
			at := &Break{Chain: c.Chain, Seq: c.Seq, Checkpoint: c.Number}
			sum := c.Sum()
			switch {
			case c.Number != last.Number+1:
				v.broken(&Break{Checkpoint: last.Number + 1, What: "the checkpoint is missing"})
				return nil
			case !ecdsa.VerifyASN1(v.public, sum[:], c.Signature):
				at.What = "the signature is not by the audit service key: the checkpoint is forged or was changed"
				v.broken(at)
				return nil
			case c.Prev != prev:
				at.What = "it does not follow the checkpoint before"
				v.broken(at)
				return nil
			}
			v.places[c.Chain] = append(v.places[c.Chain], place{c.Number, c.Seq, c.Rows, c.Hash})
			v.report.Checkpoints++
			last, prev = *c, sum
		}
		v.progress(&v.report)
		if len(page) < checkpointPage {
			return nil
		}
	}
}

// chains checks every chain, and that it still has what checkpoints say.
func (v *verifier) chains() error {
	names, err := v.trail.Chains()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := v.chain(name); err != nil || v.report.Break != nil {
			return err
		}
		delete(v.places, name)
		v.report.Chains++
	}
	var gone *Break
	for name, places := range v.places {
		if p := places[len(places)-1]; gone == nil || p.number < gone.Checkpoint {
			gone = &Break{Chain: name, Seq: p.seq, Checkpoint: p.number, What: "the whole chain was removed"}
		}
	}
	v.broken(gone)
	return nil
}

// chain checks one chain.
func (v *verifier) chain(name string) error {
	places, rows, covered := v.places[name], int64(0), int64(0)
	var last Batch
	for {
		page, err := v.trail.Batches(name, last.Seq, batchPage)
		if err != nil {
			return err
		}
		for i := range page {
			b := &page[i]
			at := &Break{Chain: name, Seq: b.Seq}
			switch sum := b.Sum(); {
			case b.Seq != last.Seq+1:
				at.Seq, at.What = last.Seq+1, "the batch was removed"
			case b.Prev != last.Hash:
				at.What = "it does not follow the batch before"
			case int64(len(b.Rows)) < b.Declared:
				at.What = fmt.Sprintf("%d of its %d rows were removed", b.Declared-int64(len(b.Rows)), b.Declared)
			case int64(len(b.Rows)) > b.Declared:
				at.What = "rows were added"
			case sum != b.Hash:
				at.What = "its rows, their order or its head were changed: the hash is another"
			}
			if at.What != "" {
				v.broken(at)
				return nil
			}
			rows += int64(len(b.Rows))
			for len(places) > 0 && places[0].seq == b.Seq {
				if p := places[0]; p.hash != b.Hash || p.rows != rows {
					at.Checkpoint, at.What = p.number, "the chain was rewritten: the checkpoint signed another hash or number of rows"
					v.broken(at)
					return nil
				}
				places, covered = places[1:], rows
			}
			last = b.Batch
			last.Rows = nil
			v.report.Batches++
			v.report.Rows += int64(len(b.Rows))
		}
		v.progress(&v.report)
		if len(page) < batchPage {
			break
		}
	}
	if len(places) > 0 {
		p := places[len(places)-1]
		v.broken(&Break{Chain: name, Seq: last.Seq + 1, Checkpoint: p.number,
			What: fmt.Sprintf("the chain's tail was removed: a checkpoint signed %d batches, %d are left", p.seq, last.Seq)})
	}
	v.report.Uncovered += rows - covered
	return nil
}

// leftovers finds rows that no batch covers.
func (v *verifier) leftovers() error {
	n, err := v.trail.CountRows()
	if err != nil {
		return err
	}
	if n != v.report.Rows {
		v.broken(&Break{What: fmt.Sprintf("%d rows belong to no batch: they were added, or their batch was removed", n-v.report.Rows)})
	}
	return nil
}

//go:build cgo

package pkcs11

import (
	"crypto"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/test/harness"
)

// BenchmarkSign sets signing through the Ring, 8 workers and 8 callers of three
// tenants, beside 8 bare loops over miekg/pkcs11 with a session and a key handle
// each. The two take turns within the run; the metrics "of-bare" (the median
// over turns) and "of-bare-by-cpu" are the share of the bare rate that is left.
func BenchmarkSign(b *testing.B) {
	for _, algorithm := range []string{"ecdsa-p256", "rsa-2048"} {
		b.Run(algorithm, func(b *testing.B) { benchmarkSign(b, algorithm) })
	}
}

const (
	callers = 8
	batch   = 25 // signatures a caller and turn: short, so that both meet the same machine
)

func benchmarkSign(b *testing.B, algorithm string) {
	hsm := harness.SoftHSM(b)
	hsm.Add("one")
	ring, _ := ringOf(b, Options{Modules: []string{hsm.Module}, Limits: keys.Limits{Workers: callers}})
	key := generate(b, ring, "pkcs11:object=k", algorithm)
	bare := bareLoops(b, hsm.Module, algorithm)
	through := func(n int) error {
		tenant := fmt.Sprint("tenant", n%3)
		for range batch {
			if _, err := key.Sign(b.Context(), ca.LaneEnrollment, tenant, digest[:], crypto.SHA256); err != nil {
				return err
			}
		}
		return nil
	}
	turn := func(work func(n int) error) (took, cpu time.Duration) {
		var all sync.WaitGroup
		start, before := time.Now(), processorTime(b)
		for n := range callers {
			all.Go(func() {
				if err := work(n); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		return time.Since(start), processorTime(b) - before
	}
	turn(bare)
	turn(through)
	var ours, theirs, oursCPU, theirsCPU time.Duration
	var shares []float64
	turns := 0
	for b.Loop() {
		theirs0, cpu := turn(bare)
		theirs, theirsCPU = theirs+theirs0, theirsCPU+cpu
		took, cpu := turn(through)
		ours, oursCPU = ours+took, oursCPU+cpu
		turns++
		shares = append(shares, theirs0.Seconds()/took.Seconds())
	}
	total := float64(turns * callers * batch)
	b.ReportMetric(total/ours.Seconds(), "ring-signs/s")
	b.ReportMetric(total/theirs.Seconds(), "bare-signs/s")
	slices.Sort(shares)
	b.ReportMetric(shares[len(shares)/2], "of-bare")
	b.ReportMetric(theirsCPU.Seconds()/oursCPU.Seconds(), "of-bare-by-cpu")
	b.ReportMetric(float64(oursCPU.Microseconds())/total, "ring-cpu-us/sign")
}

// processorTime is what this process has used, user and system: what the
// machine's other work takes away does not count.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareLoops opens a session and finds the key for each of the loops.
func bareLoops(b *testing.B, module, algorithm string) func(n int) error {
	ctx := p11.New(module) // loaded and initialised by the Ring
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		b.Fatal(err)
	}
	mechanism := []*p11.Mechanism{p11.NewMechanism(p11.CKM_ECDSA, nil)}
	input := digest[:]
	if algorithm != "ecdsa-p256" {
		mechanism = []*p11.Mechanism{p11.NewMechanism(p11.CKM_RSA_PKCS, nil)}
		prefix, _ := digestInfo(crypto.SHA256)
		input = append(prefix, digest[:]...)
	}
	var sessions []p11.SessionHandle
	var handles []p11.ObjectHandle
	for range callers {
		s, err := ctx.OpenSession(slots[0], p11.CKF_SERIAL_SESSION)
		if err != nil {
			b.Fatal(err)
		}
		found, err := (&session{ctx: ctx, handle: s}).search(object(p11.CKO_PRIVATE_KEY, "k", ""))
		if err != nil || len(found) != 1 {
			b.Fatal(found, err)
		}
		sessions, handles = append(sessions, s), append(handles, found[0])
	}
	return func(n int) error {
		for range batch {
			if err := ctx.SignInit(sessions[n], mechanism, handles[n]); err != nil {
				return err
			}
			if _, err := ctx.Sign(sessions[n], input); err != nil {
				return err
			}
		}
		return nil
	}
}

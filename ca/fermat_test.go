package ca

import (
	"crypto/rand"
	"math/big"
	"testing"
)

// TestIsSquare compares with the root: small numbers all, and large ones beside squares.
func TestIsSquare(t *testing.T) {
	t.Parallel()
	byRoot := func(n *big.Int) bool {
		root := new(big.Int).Sqrt(n)
		return root.Mul(root, root).Cmp(n) == 0
	}
	for i := range int64(70_000) {
		if n := big.NewInt(i); isSquare(n) != byRoot(n) {
			t.Fatal(i)
		}
	}
	limit := new(big.Int).Lsh(big.NewInt(1), 1100)
	for range 200 {
		root, err := rand.Int(rand.Reader, limit)
		if err != nil {
			t.Fatal(err)
		}
		square := new(big.Int).Mul(root, root)
		for delta := range int64(3) {
			if n := new(big.Int).Add(square, big.NewInt(delta)); isSquare(n) != byRoot(n) {
				t.Errorf("%v + %d", square, delta)
			}
		}
	}
}

// TestClosePrimes: primes that are so close that a step within the bound finds
// them, and ones that are not.
func TestClosePrimes(t *testing.T) {
	t.Parallel()
	p, err := rand.Prime(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	next := func(from *big.Int) *big.Int {
		for n := new(big.Int).Add(from, big.NewInt(2)); ; n.Add(n, big.NewInt(2)) {
			if n.ProbablyPrime(10) {
				return n
			}
		}
	}
	far := next(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 300)))
	for name, test := range map[string]struct {
		q    *big.Int
		want bool
	}{"the same": {p, true}, "the next": {next(p), true}, "a hundred bits apart": {next(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 100))), true},
		"three hundred bits apart": {far, false}} {
		if got := closePrimes(new(big.Int).Mul(p, test.q)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func BenchmarkClosePrimes(b *testing.B) {
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		b.Fatal(err)
	}
	q, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		b.Fatal(err)
	}
	n := new(big.Int).Mul(p, q)
	for b.Loop() {
		closePrimes(n)
	}
}

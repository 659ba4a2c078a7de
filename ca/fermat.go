package ca

import "math/big"

// closePrimes runs Fermat's factorization for a few steps.
func closePrimes(n *big.Int) bool {
	one := big.NewInt(1)
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) < 0 {
		a.Add(a, one)
	}
	b2 := new(big.Int).Mul(a, a)
	b2.Sub(b2, n)
	step := new(big.Int).Lsh(a, 1) // (a+1)² - a² is 2a+1
	step.Add(step, one)
	two := big.NewInt(2)
	for range closePrimesStep {
		if isSquare(b2) {
			return true
		}
		b2.Add(b2, step)
		step.Add(step, two)
	}
	return false
}

// Moduli that few squares are residues of. A root costs more than everything else
// that is asked of a key, and 119 of 120 numbers are seen to have none by these.
var (
	squareModuli  = [...]int64{63, 65, 11}
	squareProduct = big.NewInt(63 * 65 * 11)
	squaresOf64   = squareResidues(64)
	squaresOf     = [...][]bool{squareResidues(63), squareResidues(65), squareResidues(11)}
)

// squareResidues tells which residues modulo m squares leave.
func squareResidues(m int64) []bool {
	all := make([]bool, m)
	for i := range m {
		all[i*i%m] = true
	}
	return all
}

// isSquare tells whether a number that is not negative is a square.
func isSquare(n *big.Int) bool {
	if words := n.Bits(); len(words) > 0 && !squaresOf64[words[0]&63] {
		return false
	}
	residue := new(big.Int).Mod(n, squareProduct).Int64()
	for i, m := range squareModuli {
		if !squaresOf[i][residue%m] {
			return false
		}
	}
	root := new(big.Int).Sqrt(n)
	return root.Mul(root, root).Cmp(n) == 0
}

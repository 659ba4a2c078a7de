package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// grownTables are those that get rows with every certificate.
var grownTables = []string{"certificates", "sans", "decisions", "idempotency", "acme_orders", "acme_authorizations",
	"acme_nonces", "batches", "audit"}

// pattern is a row that a real flow left, from which others are made.
type pattern struct {
	table   string
	columns []string
	values  []any
}

// row makes the i-th row: like the pattern but for what tells rows apart.
// list makes the value of a column that holds a list of one id.
func (p pattern) row(i int, list func(string) any) []any {
	out := make([]any, len(p.values))
	for k, column := range p.columns {
		out[k] = p.value(i, column, p.values[k], list)
	}
	return out
}

func (p pattern) value(i int, column string, was any, list func(string) any) any {
	switch column {
	case "serial":
		old, ok := was.([]byte)
		if !ok || len(old) < 2 {
			return was
		}
		return append(old[:2:2], digest(i, "serial")[:len(old)-2]...) // the month stays
	case "authorizations":
		return list(text(i, "authorization"))
	case "order_id":
		return text(i, "order")
	case "certificate": // of an order, or SQLite's row of the certificate
		if _, named := was.(string); named {
			return text(i, "certificate")
		}
		return integer(was, 1<<40+i)
	case "seq":
		return integer(was, i+1)
	case "chain": // one that no replica has
		if _, named := was.(string); named {
			return "grown"
		}
		return integer(was, 1<<30)
	case "trace":
		return text(i, "trace")[:10]
	case "id":
		switch was.(type) {
		case string:
			return text(i, strings.TrimSuffix(strings.TrimPrefix(p.table, "acme_"), "s"))
		case []byte:
			return digest(i, p.table)[:16]
		}
		return integer(was, 1<<40+i) // SQLite's certificates and audit, which the table counts
	case "key", "digest", "key_id", "key_hash", "tbs_hash", "batch", "prev", "hash":
		if old, ok := was.([]byte); ok {
			return digest(i, p.table+column)[:min(len(old), 32)]
		}
	case "value":
		return like(was, name(i))
	case "reversed":
		backwards := name(i)
		slices.Reverse(backwards)
		return like(was, backwards)
	}
	return was
}

func name(i int) []byte { return []byte("h" + text(i, "name") + ".example") }

// integer gives n in the type that the driver gave.
func integer(was any, n int) any {
	if _, small := was.(int32); small {
		return int32(n)
	}
	return int64(n)
}

func like(was any, b []byte) any {
	if _, ok := was.(string); ok {
		return string(b)
	}
	return b
}

func digest(i int, what string) []byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(i))
	sum := sha256.Sum256(append(n[:], what...))
	return sum[:]
}

func text(i int, what string) string { return hex.EncodeToString(digest(i, what)[:10]) }

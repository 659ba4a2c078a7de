package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxProblems bounds what one check reports; a file with more has one cause.
const maxProblems = 200

// maxAllowed bounds the values that a problem lists.
const maxAllowed = 50

// Problem is one mistake in a configuration file.
type Problem struct {
	File    string   `json:"file"`              // as given, or the flag that set the value
	Line    int      `json:"line,omitempty"`    // from 1; 0 where there is none
	Field   string   `json:"field,omitempty"`   // "cas[issuing].key", by position from 0 where there is no id; empty: the whole file
	Message string   `json:"message"`           // what is wrong and what to do; never holds a secret
	Allowed []string `json:"allowed,omitempty"` // the closed list, where there is one
}

// Error gives `file:line: field: message (allowed: a, b)`.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if len(p.Allowed) > 0 {
		b.WriteString(" (allowed: " + strings.Join(p.Allowed, ", ") + ")")
	}
	return b.String()
}

// Problems are all mistakes of a file, by line. It is the error that Load,
// Parse and ParseOver return; errors.As finds it.
type Problems []Problem

// Error gives one line a problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted gives the problems of each file by line, in the order the files first
// appear in files, at most maxProblems of them and a last one that counts the rest.
func (ps Problems) sorted(files []string) Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line),
		)
	})
	if len(ps) > maxProblems {
		rest := Problem{File: ps[maxProblems].File, Message: fmt.Sprintf("%d more problems are not shown", len(ps)-maxProblems)}
		ps = append(ps[:maxProblems:maxProblems], rest)
	}
	return ps
}

// quote quotes a text of the file for a message, without letting it fill the screen.
func quote(text string) string {
	if len(text) > maxID {
		return strconv.Quote(text[:maxID]) + "..."
	}
	return strconv.Quote(text)
}

// suggest gives `; did you mean "x"?` for the one of known that is nearest to
// got, or nothing where none is near.
func suggest(got string, known []string) string {
	best, distance := "", 1+min(2, len(got)/2)
	for _, k := range known {
		if strings.EqualFold(strings.ReplaceAll(got, "-", "_"), strings.ReplaceAll(k, "-", "_")) {
			best, distance = k, 0
		} else if d := editDistance(got, k, distance); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts insertions, deletions and replacements, up to limit.
func editDistance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

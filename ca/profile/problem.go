package profile

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one thing wrong with a written profile.
type Problem struct {
	Path    []string // yaml keys and list positions from the profile down: "subject_alt_name", "dns", "allow", "0"
	Message string   // a sentence fragment that says what is wrong and what to do
	Allowed []string // the values that would be right, where there is a closed list
}

func (p Problem) String() string {
	text := strings.Join(p.Path, ".") + ": " + p.Message
	if len(p.Allowed) > 0 {
		text += "; allowed: " + strings.Join(p.Allowed, ", ")
	}
	return text
}

// Problems is every Problem of one profile: the error of Compile.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return "profile: " + strings.Join(lines, "\n")
}

// problemList gathers problems while a profile is compiled.
type problemList struct{ all Problems }

// add notes a problem at a path.
func (l *problemList) add(path []string, format string, args ...any) {
	l.choose(path, nil, format, args...)
}

// choose notes a problem together with the values that would be right.
func (l *problemList) choose(path, allowed []string, format string, args ...any) {
	l.all = append(l.all, Problem{Path: path, Message: fmt.Sprintf(format, args...), Allowed: allowed})
}

// err gives the gathered problems, nil where there are none.
func (l *problemList) err() error {
	if len(l.all) == 0 {
		return nil
	}
	return l.all
}

func quoted(s string) string { return strconv.Quote(clip(s)) }

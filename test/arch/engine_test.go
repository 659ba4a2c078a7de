package arch_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const module = "github.com/enrollgate/enrollgate"

// graph is who imports whom: packages of this module by their path below the
// module root, the others by import path.
type graph struct {
	ours  map[string][]string // without test files
	other map[string][]string // standard library and other modules
}

// matches reports whether a path fits a pattern; see rule.
func matches(pattern, p string) bool {
	if pattern == "..." {
		return true
	}
	want, below := strings.CutSuffix(pattern, "/...")
	if below {
		n := strings.Count(want, "/") + 1
		if parts := strings.Split(p, "/"); len(parts) > n {
			p = strings.Join(parts[:n], "/")
		}
	}
	ok, err := path.Match(want, p)
	if err != nil {
		panic(fmt.Sprintf("pattern %q: %v", pattern, err))
	}
	return ok
}

func matchesAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

// ruleOf finds the one rule of a package.
func ruleOf(rules []rule, pkg string) (rule, error) {
	var found []rule
	for _, r := range rules {
		if matchesAny(r.packages, pkg) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return rule{}, fmt.Errorf("%s: no class; name it in the rules of test/arch", pkg)
	case 1:
		return found[0], nil
	}
	return rule{}, fmt.Errorf("%s: %d classes, %q and %q", pkg, len(found), found[0].class, found[1].class)
}

// check returns every wrong arrow, sorted.
func check(rules []rule, g graph) (wrong []string) {
	for pkg, imports := range g.ours {
		r, err := ruleOf(rules, pkg)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		for _, imported := range imports {
			if why := refuse(rules, g, r, pkg, imported); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s (%s) imports %s: %s", pkg, r.class, imported, why))
			}
		}
		for _, chain := range reach(g, pkg, r.denyDeep) {
			wrong = append(wrong, fmt.Sprintf("%s (%s) reaches what it must not: %s", pkg, r.class, strings.Join(chain, " -> ")))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// refuse says why one import is wrong, "" if it is not.
func refuse(rules []rule, g graph, r rule, pkg, imported string) string {
	if _, ours := g.ours[imported]; ours {
		target, err := ruleOf(rules, imported)
		if err == nil && target.testsOnly && !r.testsOnly {
			return "it is for tests only"
		}
		for _, pattern := range r.may {
			if matches(strings.ReplaceAll(pattern, "{own}", folder(pkg)), imported) {
				return ""
			}
		}
		return "its class may not"
	}
	switch first, _, _ := strings.Cut(imported, "/"); {
	case matchesAny(denyAlways, imported):
		return "nobody may"
	case matchesAny(r.deny, imported):
		return "its class may not"
	case r.only != nil && strings.Contains(first, ".") && !matchesAny(r.only, imported):
		return "its class may use no other module's packages but " + strings.Join(r.only, ", ")
	}
	return ""
}

// folder is the first two elements of a package's path: protocols/acme/va
// belongs to protocols/acme.
func folder(pkg string) string {
	parts := strings.Split(pkg, "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// reach returns, for each denied package that can be reached from pkg, one
// shortest chain of imports that leads there.
func reach(g graph, pkg string, denied []string) (chains [][]string) {
	if len(denied) == 0 {
		return nil
	}
	from := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != pkg && matchesAny(denied, at) {
			var chain []string
			for p := at; p != ""; p = from[p] {
				chain = append(chain, p)
			}
			slices.Reverse(chain)
			chains = append(chains, chain)
			continue // what lies behind it is its own business
		}
		next, ours := g.ours[at]
		if !ours {
			next = g.other[at]
		}
		for _, p := range next {
			if _, seen := from[p]; !seen {
				from[p] = at
				queue = append(queue, p)
			}
		}
	}
	return chains
}

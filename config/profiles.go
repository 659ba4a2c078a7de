package config

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca/profile"
)

// profiles compiles the profiles of the file over the built-in ones. A profile
// with problems is there as nil, so that nobody complains that it is missing.
func (c *checker) profiles(written []writtenProfile) map[string]*profile.Profile {
	out, base := map[string]*profile.Profile{}, map[string]profile.Written{}
	builtin, err := profile.BuiltinProfiles()
	if err != nil {
		c.problem("profiles", "%v", err)
	}
	for _, p := range builtin {
		out[p.ID()] = p
	}
	asWritten, err := profile.Builtin() // what is extended has no defaults yet
	if err != nil {
		c.problem("profiles", "%v", err)
	}
	for _, w := range asWritten {
		base[w.ID] = w
	}
	var layers []profile.Layer
	var items []string
	seen := map[string]bool{}
	for i, w := range written {
		item := c.items["profiles"][i]
		switch {
		case c.bad[item]:
		case !enabled(w.Enabled):
			delete(out, w.ID) // a built-in one can be taken out, too
		case !c.id(item, w.ID, true):
		case seen[w.ID]:
			c.problem(item+".id", "a second profile has the id %q; ids are unique", w.ID)
		default:
			seen[w.ID] = true
			layers, items = append(layers, profile.Layer{Written: w.Written, Wrote: c.wrote(item)}), append(items, item)
		}
	}
	flat, problems := profile.Flatten(layers, base)
	for i, w := range flat {
		if problem, bad := problems[i]; bad {
			out[w.ID] = nil
			c.choose(items[i]+".extends", problem.Allowed, "%s", problem.Message)
			continue
		}
		c.compile(w, items[i], out)
	}
	return out
}

// wrote tells which keys of an item were written, whatever became of them.
func (c *checker) wrote(item string) func(path []string) bool {
	return func(path []string) bool {
		at := item
		for _, step := range path {
			at = join(at, step)
		}
		_, written := c.places[at]
		return written
	}
}

func (c *checker) compile(w profile.Written, item string, out map[string]*profile.Profile) {
	p, err := profile.Compile(w)
	var problems profile.Problems
	switch {
	case err == nil:
		out[w.ID] = p
		c.review(p, item)
		return
	case !errors.As(err, &problems):
		c.problem(item, "the profile does not compile: %v", err)
	}
	out[w.ID] = nil
	for _, problem := range problems {
		path := item
		for _, step := range problem.Path {
			path = c.descend(path, step)
		}
		if !c.refused(path) {
			c.choose(path, problem.Allowed, "%s", problem.Message)
		}
	}
}

// review warns of what is weak or dangerous in a profile of the file and not
// acknowledged there.
func (c *checker) review(p *profile.Profile, item string) {
	for _, f := range p.Unacknowledged() {
		if f.Severity == profile.SeverityNotice {
			continue
		}
		path := item
		for step := range strings.SplitSeq(f.Path, ".") {
			path = c.descend(path, step)
		}
		c.warn(path, "%s: %s `enrollgate profile lint` says what to do", f.Name, f.Text)
	}
}

// descend appends a key or a position in a list to a path.
func (c *checker) descend(path, step string) string {
	if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(c.items[path]) {
		return c.items[path][n]
	}
	return join(path, step)
}

// refused tells whether the value at a path, one around it or one in it did not
// decode: what is missing then is not missing.
func (c *checker) refused(path string) bool {
	for bad := range c.bad {
		if within(bad, path) || within(path, bad) {
			return true
		}
	}
	return false
}

// within tells whether path is outer or lies in it.
func within(path, outer string) bool {
	if len(path) <= len(outer) {
		return path == outer
	}
	return path[:len(outer)] == outer && (path[len(outer)] == '.' || path[len(outer)] == '[')
}

// profileReference checks the profile of an endpoint: devices and people are
// issued end-entity certificates alone.
func (c *checker) profileReference(path, id string, profiles map[string]*profile.Profile) bool {
	if !c.reference(path, id, "a profile", slices.Sorted(maps.Keys(profiles))) {
		return false
	}
	if p := profiles[id]; p != nil && p.Kind() != profile.KindEndEntity {
		c.problem(path, "profile %q is of kind %s; endpoints issue under profiles of kind %s alone", id, p.Kind(), profile.KindEndEntity)
		return false
	}
	return true
}

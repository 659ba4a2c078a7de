package config

import "slices"

// maxID bounds the ids of tenants, CAs, profiles and endpoints, in characters.
const maxID = 64

// reservedIDs have a meaning of their own as path segments of the SCEP door.
func reservedIDs() []string { return []string{"intune", "mdm", "nop"} }

// wellFormedID tells whether an id can be a path segment: 1 to 64 characters of
// A-Z a-z 0-9 - _ ~. A dot is missing on purpose: "." and ".." are not segments.
func wellFormedID(id string) bool {
	for i := range len(id) {
		switch b := id[i]; {
		case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '_', b == '~':
		default:
			return false
		}
	}
	return len(id) >= 1 && len(id) <= maxID
}

// id checks the id of an item, a path segment of URLs if segment says so.
func (c *checker) id(item, id string, segment bool) bool {
	path := item + ".id"
	if !c.required(path, id, "everything in this list is named by it") {
		return false
	}
	if !wellFormedID(id) {
		c.problem(path, "an id has 1 to %d characters of A-Z a-z 0-9 - _ ~", maxID)
		return false
	}
	if segment && slices.Contains(reservedIDs(), id) {
		c.problem(path, "the id %q has a meaning of its own in URLs; take another", id)
		return false
	}
	return true
}

// reference checks that id names one of known.
func (c *checker) reference(path, id, what string, known []string) bool {
	if !c.required(path, id, "it names "+what) {
		return false
	}
	if slices.Contains(known, id) {
		return true
	}
	c.choose(path, known, "%s does not name %s that is configured and enabled%s", quote(id), what, suggest(id, known))
	return false
}

// enabled tells whether an item counts; without the key it does.
func enabled(written *bool) bool { return written == nil || *written }

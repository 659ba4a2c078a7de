package caller

import "slices"

// Satisfies tells whether the caller's methods cover one alternative of an
// authentication policy: each is a set of methods that must all hold, and one
// without a method lets nobody in.
func (c Caller) Satisfies(policies [][]Method) bool {
	held := c.Methods()
	return slices.ContainsFunc(policies, func(set []Method) bool {
		return len(set) > 0 && !slices.ContainsFunc(set, func(m Method) bool { return !slices.Contains(held, m) })
	})
}

// Named tells whether some alternative of a policy names a method.
func Named(policies [][]Method, m Method) bool {
	return slices.ContainsFunc(policies, func(set []Method) bool { return slices.Contains(set, m) })
}

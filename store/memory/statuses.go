package memory

import (
	"bytes"
	"context"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
)

// StatusPage implements ca.Statuses: the last row of the feed is where a certificate stands.
func (s *Store) StatusPage(_ context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	if err := ca.CheckStatusPage(limit); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	last := map[ca.Serial]ca.Status{}
	for _, st := range s.feed {
		if st.Tenant == tenant && st.CA == issuer && bytes.Compare(st.Serial[:], after[:]) > 0 {
			st.Position = 0
			last[st.Serial] = st
		}
	}
	var page []ca.Status
	for _, st := range last {
		page = append(page, st)
	}
	slices.SortFunc(page, func(a, b ca.Status) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	return page[:min(limit, len(page))], nil
}

// FeedEnd implements ca.Statuses.
func (s *Store) FeedEnd(context.Context) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return int64(len(s.feed)), nil
}

var _ ca.Statuses = (*Store)(nil)

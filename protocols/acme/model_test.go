package acme

import (
	"net/http"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// situation is what RFC 8555 section 7.1.6 says of an order for two names and
// what belongs to it: the model that the door is held against.
type situation struct {
	first, second state.Status // of the authorizations, apart from time
	tried         [2]bool      // whether the first's http-01 and the second's dns-01 were answered
	order         state.Status // pending, processing, valid or invalid, apart from time and authorizations
	age           int          // 1: authorizations have expired; 2: the order, too
	left          bool         // the account was deactivated
}

// at is the status of an authorization.
func (s situation) at(a state.Status) state.Status {
	if (a == state.Pending || a == state.Valid) && s.age > 0 {
		return state.Expired
	}
	return a
}

// stands is the status of the order.
func (s situation) stands() state.Status {
	first, second := s.at(s.first), s.at(s.second)
	open := func(a state.Status) bool { return a == state.Pending || a == state.Valid }
	switch {
	case s.order != state.Pending:
		return s.order
	case s.age > 1, !open(first), !open(second):
		return state.Invalid
	case first == state.Valid && second == state.Valid:
		return state.Ready
	}
	return state.Pending
}

// outcome is what a client is answered: a status of HTTP, and a problem's type or
// the object's status.
type outcome struct {
	code int
	says string
}

var (
	left     = outcome{http.StatusUnauthorized, typeUnauthorized}
	conflict = outcome{http.StatusConflict, typeMalformed}
)

// operations are all that can happen to an order. Each says what must be answered
// and how things stand then; not ok is one that cannot happen.
var operations = map[string]func(s situation, manual bool) (after situation, want outcome, ok bool){
	"prove the first":    func(s situation, _ bool) (situation, outcome, bool) { return s.answer(0, state.Valid) },
	"fail the first":     func(s situation, _ bool) (situation, outcome, bool) { return s.answer(0, state.Invalid) },
	"prove the second":   func(s situation, _ bool) (situation, outcome, bool) { return s.answer(1, state.Valid) },
	"retry another way":  func(s situation, _ bool) (situation, outcome, bool) { return s.retry() },
	"give up the first":  func(s situation, _ bool) (situation, outcome, bool) { return s.giveUp(0) },
	"give up the second": func(s situation, _ bool) (situation, outcome, bool) { return s.giveUp(1) },
	"finalize":           func(s situation, manual bool) (situation, outcome, bool) { return s.finalize(manual) },
	"finalize twice at once": func(s situation, manual bool) (situation, outcome, bool) {
		after, want, _ := s.finalize(manual)
		return after, want, !s.left || s.stands() == state.Ready // the other replica may take the account for valid for a moment
	},
	"later": func(s situation, _ bool) (situation, outcome, bool) {
		s.age++
		return s, outcome{}, s.age <= 2
	},
	"leave": func(s situation, _ bool) (situation, outcome, bool) {
		if s.left {
			return s, left, true
		}
		s.left = true
		return s, outcome{http.StatusOK, string(state.Deactivated)}, true
	},
	"approve": func(s situation, _ bool) (situation, outcome, bool) {
		ok := s.order == state.Processing
		s.order = state.Invalid // of an account or an authorization that was given up
		if !s.left && s.first == state.Valid && s.second == state.Valid {
			s.order = state.Valid
		}
		return s, outcome{}, ok
	},
	"deny": func(s situation, _ bool) (situation, outcome, bool) {
		ok := s.order == state.Processing
		s.order = state.Invalid
		return s, outcome{}, ok
	},
}

func (s situation) answer(which int, verdict state.Status) (situation, outcome, bool) {
	a := &s.first
	if which == 1 {
		a = &s.second
	}
	switch {
	case s.left:
		return s, left, true
	case s.tried[which]: // it is only read
		if which == 0 && s.failed() {
			return s, outcome{http.StatusOK, string(state.Invalid)}, true
		}
		return s, outcome{http.StatusOK, string(state.Valid)}, true
	case s.at(*a) != state.Pending:
		return s, outcome{http.StatusForbidden, typeMalformed}, true
	}
	*a, s.tried[which] = verdict, true
	return s, outcome{http.StatusOK, string(verdict)}, true
}

// failed: an authorization that failed stays so (section 7.1.6).
func (s situation) failed() bool { return s.first == state.Invalid }

// retry answers another challenge of the first authorization, when it is too late.
func (s situation) retry() (situation, outcome, bool) {
	if s.left {
		return s, left, true
	}
	return s, outcome{http.StatusForbidden, typeMalformed}, s.at(s.first) != state.Pending
}

func (s situation) giveUp(which int) (situation, outcome, bool) {
	a := &s.first
	if which == 1 {
		a = &s.second
	}
	switch {
	case s.left:
		return s, left, true
	case *a != state.Pending && *a != state.Valid:
		return s, conflict, true
	}
	*a = state.Deactivated
	return s, outcome{http.StatusOK, string(state.Deactivated)}, true
}

func (s situation) finalize(manual bool) (situation, outcome, bool) {
	switch status := s.stands(); {
	case s.left:
		return s, left, true
	case status == state.Valid, status == state.Processing:
	case status != state.Ready:
		return s, outcome{http.StatusForbidden, typeOrderNotReady}, true
	case manual:
		s.order = state.Processing
	default:
		s.order = state.Valid
	}
	return s, outcome{http.StatusOK, string(s.order)}, true
}

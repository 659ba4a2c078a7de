package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/profile"
)

type certRenewCmd struct {
	certChange
	Within      string `help:"Until when: a duration such as 24h or P2D. The certificates' windows are spread over it." placeholder:"DURATION" required:""`
	Explanation string `name:"explanation-url" help:"Page that says why: clients show it to their operators." placeholder:"URL"`
}

// Run sets renewal windows. Nothing about the certificates changes, and clients
// that do not ask for renewal information notice nothing.
func (cmd *certRenewCmd) Run(c console) error {
	now := time.Now().UTC().Truncate(time.Second)
	until, err := after(now, cmd.Within)
	if err != nil {
		return badRequest(err)
	}
	if u, err := url.Parse(cmd.Explanation); err != nil || cmd.Explanation != "" && (u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%w: --explanation-url is the address of a page, https://...", errUsage)
	}
	for _, text := range cmd.Serial {
		if _, err := ca.ParseSerial(text); err != nil {
			return badRequest(err)
		}
	}
	return cmd.sweep(c, verbs{"Ask to renew", "until " + until.Format(time.RFC3339), "asked to renew"},
		certSweepIn{Renew: &renewIn{From: now, Until: until, Explanation: cmd.Explanation}})
}

// after reads a duration as flags take it: 24h, or ISO 8601.
func after(now time.Time, text string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	period, err := profile.ParsePeriod(text)
	if err != nil {
		return now, ca.Errorf(ca.BadRequest, "%q is not a duration: write 24h or P2D", text)
	}
	return period.From(now), nil
}

package forwarded

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("fe80::/64")}

// seen asks a handler behind the proxies which address it sees.
func seen(t *testing.T, header, peer string, lines map[string][]string) (remote, outcome string) {
	t.Helper()
	outcome = "none"
	p, err := New(Options{Trusted: trusted, Header: header, Observe: func(o string) {
		if outcome != "none" {
			t.Errorf("counted twice: %s and %s", outcome, o)
		}
		outcome = o
	}})
	if err != nil {
		t.Fatal(err)
	}
	q := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	q.RemoteAddr = peer
	for name, values := range lines {
		for _, v := range values {
			q.Header.Add(name, v)
		}
	}
	p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { remote = r.RemoteAddr })).ServeHTTP(httptest.NewRecorder(), q)
	if q.RemoteAddr != peer {
		t.Errorf("the server's own request was changed to %s", q.RemoteAddr)
	}
	return remote, outcome
}

const proxy = "10.0.0.1:4711"

func TestXForwardedFor(t *testing.T) {
	type lines = []string
	for name, test := range map[string]struct {
		peer    string
		lines   lines
		remote  string
		outcome string
	}{
		"one hop":                     {proxy, lines{"192.0.2.7"}, "192.0.2.7:0", Taken},
		"with a port":                 {proxy, lines{"192.0.2.7:99"}, "192.0.2.7:99", Taken},
		"IPv6":                        {proxy, lines{"2001:db8:2::7"}, "[2001:db8:2::7]:0", Taken},
		"IPv6 in brackets":            {proxy, lines{"[2001:db8:2::7]"}, "[2001:db8:2::7]:0", Taken},
		"IPv6 with a port":            {proxy, lines{"[2001:db8:2::7]:99"}, "[2001:db8:2::7]:99", Taken},
		"an IPv4 address as IPv6":     {proxy, lines{"::ffff:192.0.2.7"}, "192.0.2.7:0", Taken},
		"a proxy as IPv6":             {"[::ffff:10.0.0.1]:1", lines{"192.0.2.7"}, "192.0.2.7:0", Taken},
		"a proxy with a zone":         {"[fe80::1%eth0]:1", lines{"192.0.2.7"}, "192.0.2.7:0", Taken},
		"what the client sent":        {proxy, lines{"198.51.100.1, 192.0.2.7"}, "192.0.2.7:0", Taken},
		"two proxies":                 {proxy, lines{"198.51.100.1, 192.0.2.7, 10.2.2.2"}, "192.0.2.7:0", Taken},
		"lines are one list":          {proxy, lines{"198.51.100.1", "192.0.2.7", "10.2.2.2"}, "192.0.2.7:0", Taken},
		"nothing but proxies":         {proxy, lines{"10.3.3.3, 10.2.2.2"}, "10.3.3.3:0", Taken},
		"empty elements":              {proxy, lines{"192.0.2.7, ,,", ""}, "192.0.2.7:0", Taken},
		"rubbish before the client":   {proxy, lines{"x\x00,\"';--, 192.0.2.7"}, "192.0.2.7:0", Taken},
		"a flood before the client":   {proxy, lines{strings.Repeat("6.6.6.6,", 4000) + strings.Repeat("x", 4000) + ",192.0.2.7"}, "192.0.2.7:0", Taken},
		"no header":                   {proxy, nil, proxy, Missing},
		"an empty header":             {proxy, lines{" , "}, proxy, Missing},
		"rubbish from the proxy":      {proxy, lines{"192.0.2.7, unknown"}, proxy, Malformed},
		"a zone":                      {proxy, lines{"fe80::7%eth0"}, proxy, Malformed},
		"a zone in brackets":          {proxy, lines{"[fe80::7%25eth0]:1"}, proxy, Malformed},
		"an open bracket":             {proxy, lines{"[2001:db8:2::7"}, proxy, Malformed},
		"brackets around IPv4":        {proxy, lines{"[192.0.2.7]"}, proxy, Malformed},
		"a port that is none":         {proxy, lines{"192.0.2.7:70000"}, proxy, Malformed},
		"text behind the bracket":     {proxy, lines{"[2001:db8:2::7]x"}, proxy, Malformed},
		"the address of nobody":       {proxy, lines{"0.0.0.0"}, proxy, Malformed},
		"the address of many":         {proxy, lines{"ff02::1"}, proxy, Malformed},
		"leading zeros":               {proxy, lines{"192.0.2.010"}, proxy, Malformed},
		"an element too long":         {proxy, lines{"192.0.2.7," + strings.Repeat(" ", 600)}, proxy, Malformed},
		"a first element too long":    {proxy, lines{strings.Repeat("1", 600)}, proxy, Malformed},
		"too many hops":               {proxy, lines{"192.0.2.7" + strings.Repeat(",10.0.0.2", maxHops)}, proxy, Malformed},
		"too many empty elements":     {proxy, lines{"192.0.2.7" + strings.Repeat(",", maxHops)}, proxy, Malformed},
		"too many lines":              {proxy, append(lines{"192.0.2.7"}, make(lines, maxHops)...), proxy, Malformed},
		"spoofed by a client":         {"192.0.2.9:1", lines{"198.51.100.1"}, "192.0.2.9:1", Ignored},
		"spoofed as a proxy":          {"192.0.2.9:1", lines{"198.51.100.1, 10.0.0.1"}, "192.0.2.9:1", Ignored},
		"a client without a header":   {"192.0.2.9:1", nil, "192.0.2.9:1", "none"},
		"a peer that is no address":   {"@", lines{"198.51.100.1"}, "@", Ignored},
		"as many hops as are allowed": {proxy, lines{"192.0.2.7" + strings.Repeat(",10.0.0.2", maxHops-1)}, "192.0.2.7:0", Taken},
	} {
		t.Run(name, func(t *testing.T) {
			if remote, outcome := seen(t, XForwardedFor, test.peer, map[string][]string{XForwardedFor: test.lines}); remote != test.remote || outcome != test.outcome {
				t.Errorf("%s, %s; want %s, %s", remote, outcome, test.remote, test.outcome)
			}
		})
	}
}

func TestForwarded(t *testing.T) {
	for line, want := range map[string]string{
		`for=192.0.2.7`: "192.0.2.7:0",
		`proto=https; For="192.0.2.7:99" ;by=10.0.0.1`:             "192.0.2.7:99",
		`for="[2001:db8:2::7]:99";host="a,b;c=d\""`:                "[2001:db8:2::7]:99",
		`for="[2001:db8:2::7]:_x"`:                                 "[2001:db8:2::7]:0",
		`for=198.51.100.1, for=192.0.2.7;proto=http, for=10.0.0.2`: "192.0.2.7:0",
		`for=198.51.100.1;x=", for=192.0.2.7`:                      "192.0.2.7:0", // an open quote of the client
		`for="198.51.100.1\", for=192.0.2.7`:                       "192.0.2.7:0",
		`host="\\", for=192.0.2.7`:                                 "192.0.2.7:0",
		`for=unknown`:                                              "",
		`for="_hidden"`:                                            "",
		`proto=https`:                                              "",
		`for=192.0.2.7;for=192.0.2.8`:                              "",
		`for=192.0.2.7;`:                                           "",
		`for="192.0.2.7`:                                           "",
		`for="192.0.2.7"x`:                                         "",
		`for="192.0.2.7\`:                                          "",
		`for=`:                                                     "",
		`192.0.2.7`:                                                "",
		`for="[fe80::1%25eth0]"`:                                   "",
		`for=192.0.2.7, for="` + strings.Repeat("x", 600):          "",
		`x="` + strings.Repeat(`\"`, 200) + `";for=192.0.2.7`:      "192.0.2.7:0",
		`for=6.6.6.6,` + strings.Repeat("y", 9000) + `,for=1.2.3.4`: "1.2.3.4:0",
	} {
		want, outcome := want, Taken
		if want == "" {
			want, outcome = proxy, Malformed
		}
		if remote, got := seen(t, Forwarded, proxy, map[string][]string{Forwarded: {line}, XForwardedFor: {"198.51.100.9"}}); remote != want || got != outcome {
			t.Errorf("%.80s: %s, %s; want %s", line, remote, got, want)
		}
	}
	if remote, got := seen(t, XForwardedFor, proxy, map[string][]string{Forwarded: {"for=198.51.100.1"}}); remote != proxy || got != Missing {
		t.Errorf("the header that is not configured was read: %s, %s", remote, got)
	}
}

func TestNewRefuses(t *testing.T) {
	count := func(string) {}
	for name, o := range map[string]Options{
		"nobody trusted": {Header: Forwarded, Observe: count}, "another header": {Trusted: trusted, Header: "X-Real-Ip", Observe: count}, "nobody counts": {Trusted: trusted, Header: Forwarded},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "192.0.2.7", "[::1]:80, 10.0.0.1", `for="[2001:db8::1]:1";by=x, for=10.0.0.1`, `for="a\",b"`, "fe80::1%eth0", ",,,", `x="`} {
		f.Add(s, true)
		f.Add(s, false)
	}
	const last = "203.0.113.5"
	f.Fuzz(func(t *testing.T, line string, standard bool) {
		o := Options{Trusted: trusted, Header: XForwardedFor, Observe: func(string) {}}
		added := last
		if standard {
			o.Header, added = Forwarded, "for="+last
		}
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if found, outcome := p.client([]string{line}); (outcome == Taken) != found.IsValid() || found.Addr().Zone() != "" {
			t.Errorf("%s, %s", found, outcome)
		}
		// Whatever a client sends, what its proxy adds is believed.
		if found, outcome := p.client([]string{line + ", " + added}); outcome != Taken || found.Addr().String() != last {
			t.Errorf("on one line: %s, %s", found, outcome)
		}
		if found, outcome := p.client([]string{line, added}); outcome != Taken || found.Addr().String() != last {
			t.Errorf("on a line of its own: %s, %s", found, outcome)
		}
	})
}

package forwarded

import (
	"net/netip"
	"strconv"
	"strings"
)

// lastPlain cuts the last element off a list without quoted strings.
func lastPlain(line string) (element, rest string, ok bool) {
	return cut(line, strings.LastIndexByte(tail(line), ','))
}

// lastUnquoted cuts the last element off a list in which commas may stand in
// quoted strings (RFC 7239 section 4). It reads from the end: an open quote that
// a client sent stands before whatever its proxy added.
func lastUnquoted(line string) (element, rest string, ok bool) {
	part, quoted := tail(line), false
	for i := len(part) - 1; i >= 0; i-- {
		switch {
		case part[i] == '"' && !quoted:
			quoted = true
		case part[i] == '"':
			quoted = (i-len(strings.TrimRight(part[:i], `\`)))%2 == 1 // an escaped one
		case part[i] == ',' && !quoted:
			return cut(line, i)
		}
	}
	if quoted {
		return "", "", false
	}
	return cut(line, -1)
}

// tail is as much of a line as an element and its comma may take.
func tail(line string) string { return line[max(0, len(line)-maxElement-1):] }

// cut cuts a line at a comma of its tail; -1 is a tail without one.
func cut(line string, at int) (element, rest string, ok bool) {
	part := tail(line)
	if at < 0 {
		return line, "", len(line) <= maxElement
	}
	return part[at+1:], line[:len(line)-len(part)+at], true
}

// parseElement reads one forwarded-element (RFC 7239 section 4) for the
// parameter "for"; parameters may not come twice.
func parseElement(element string) (found netip.AddrPort, ok bool) {
	for rest := element; ; {
		name, value, after, good := parsePair(rest)
		if !good {
			return netip.AddrPort{}, false
		}
		if strings.EqualFold(name, "for") {
			if ok {
				return netip.AddrPort{}, false
			}
			if found, ok = parseNode(value); !ok {
				return netip.AddrPort{}, false
			}
		}
		if after == "" {
			return found, ok
		}
		rest = after[1:]
	}
}

// parsePair reads token "=" value, where value is a token or a quoted string;
// after is empty or begins with a semicolon.
func parsePair(text string) (name, value, after string, ok bool) {
	name, text, ok = strings.Cut(text, "=")
	if name = strings.Trim(name, " \t"); !ok || name == "" || strings.ContainsAny(name, " \t;\"") {
		return "", "", "", false
	}
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexByte(text, ';')
		if end < 0 {
			end = len(text)
		}
		value = strings.TrimRight(text[:end], " \t")
		return name, value, text[end:], value != "" && !strings.ContainsAny(value, " \t\"")
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i == len(text) {
				return "", "", "", false
			}
			b.WriteByte(text[i])
		case '"':
			after = strings.TrimLeft(text[i+1:], " \t")
			return name, b.String(), after, after == "" || after[0] == ';'
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", "", false
}

// parseNode reads an address with or without port: 192.0.2.1, 192.0.2.1:80, [::1],
// [::1]:80, and ::1 as proxies write it into X-Forwarded-For. A zone means nothing
// on another machine, and so does an address of nobody or of many.
func parseNode(text string) (netip.AddrPort, bool) {
	host, port := strings.Trim(text, " \t"), ""
	bracketed := strings.HasPrefix(host, "[")
	var rest string
	switch {
	case bracketed:
		var closed bool
		if host, rest, closed = strings.Cut(host[1:], "]"); !closed || rest != "" && rest[0] != ':' {
			return netip.AddrPort{}, false
		}
	case strings.Count(host, ":") == 1:
		at := strings.IndexByte(host, ':')
		host, rest = host[:at], host[at:]
	}
	var number uint64
	if rest != "" {
		var err error
		if port = rest[1:]; !strings.HasPrefix(port, "_") { // RFC 7239 section 6.3: obfport
			if number, err = strconv.ParseUint(port, 10, 16); err != nil {
				return netip.AddrPort{}, false
			}
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" || bracketed != a.Is6() && (bracketed || rest != "") {
		return netip.AddrPort{}, false
	}
	if a = a.Unmap(); a.IsUnspecified() || a.IsMulticast() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(number)), true
}
